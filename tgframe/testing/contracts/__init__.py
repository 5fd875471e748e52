"""The laws of each interface, as classes of tests. Inherit one, say how to make the component, and run pytest."""
