"""Objectives on given completions: pairs, points, demonstrations."""
