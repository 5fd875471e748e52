"""Objectives with token guidance, on sampled completions and on targets, and the baselines without it."""
