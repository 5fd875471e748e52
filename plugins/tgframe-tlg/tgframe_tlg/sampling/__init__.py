"""Guided sampling: judgments are dear, guidance is free."""
