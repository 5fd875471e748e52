"""Policies over decoder-only models: causal ones, whole or with adapters, and frozen ones with a trained adaptor."""
