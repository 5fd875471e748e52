"""Stand-ins for what a part meets in a run: small, quick, and without files."""
