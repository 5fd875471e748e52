"""Policies over language models, decoder-only or encoder-decoder: whole, with adapters, or frozen with an adaptor."""
