"""Learned token guidance: a language-model backbone and a small head."""
