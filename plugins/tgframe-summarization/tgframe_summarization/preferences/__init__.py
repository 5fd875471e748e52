"""Preferences that compare a completion with the targets of its prompt."""
