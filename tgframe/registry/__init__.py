"""What is installed: hooks, plugins, and components by name."""
