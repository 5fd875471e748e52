"""Preference sources that need no plugin: a Python function, and sources made of other sources."""
