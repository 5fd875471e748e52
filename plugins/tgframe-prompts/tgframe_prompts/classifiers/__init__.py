"""Classifiers behind one interface: masked, causal and embedding models with verbalisers."""
