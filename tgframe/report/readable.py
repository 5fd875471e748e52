"""Tokens that are parts of one character, made readable."""

from __future__ import annotations

from collections.abc import Sequence

PART = "\ufffd"
"""What a tokenizer writes for bytes that are no whole character."""
REST = "·"
"""In place of the further bytes of a character that the first of its tokens shows."""


def readable(tokens: Sequence[str], text: str) -> list[str]:
    """Return the tokens, each character that several of them make up shown by the first of these.

    They are laid along ``text``; where that cannot be done, they stay as they are.
    """
    if PART in text or not any(PART in token for token in tokens):
        return list(tokens)
    found: list[str] = []
    parts: list[str] = []
    place = 0
    for token in tokens:
        if PART in token:
            parts.append(token)
            continue
        start = text.find(token, place)
        if start < 0 or (start > place and not parts):
            if token in text:
                return list(tokens)
            found += [*parts, token]  # a special token, which the text does not have
        else:
            found += [*_joined(parts, text[place:start]), token]
            place = start + len(token)
        parts = []
    return [*found, *_joined(parts, text[place:])]


def _joined(parts: Sequence[str], characters: str) -> list[str]:
    return [characters, *[REST] * (len(parts) - 1)] if parts and characters else list(parts)
