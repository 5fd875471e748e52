"""Component swaps: one recipe with parts exchanged, over seeds, and what the differences are worth."""
