"""Where text, prompt and mask stand beside one another."""

from __future__ import annotations

import string
from collections.abc import Sequence

import attrs

TEXT, PROMPT, MASK = "text", "prompt", "mask"
FIELDS = (TEXT, PROMPT, MASK)


@attrs.frozen
class Literal:
    """Text of the template itself."""

    text: str


Piece = Literal | str
"""A literal, or the name of a field."""


@attrs.frozen
class Side:
    """What stands on one side of the text."""

    pieces: tuple[Piece, ...]

    def render(self, prompt: str, mask: str) -> str:
        """Return the side as a string. The prompt is pasted as it is: braces in it mean nothing."""
        return _render(self.pieces, prompt, mask)

    def until_mask(self, prompt: str, mask: str) -> str | None:
        """Return what precedes the mask on this side, or None where the mask is not on this side."""
        return _render(self.pieces[: self.pieces.index(MASK)], prompt, mask) if MASK in self.pieces else None

    def __bool__(self) -> bool:
        return bool(self.pieces)


def _render(pieces: Sequence[Piece], prompt: str, mask: str) -> str:
    fields = {PROMPT: prompt, MASK: mask}
    return "".join(piece.text if isinstance(piece, Literal) else fields[piece] for piece in pieces)


@attrs.frozen
class Template:
    """A template, split at the text. Spaces are kept as written."""

    before: Side
    after: Side

    @property
    def ends_with_mask(self) -> bool:
        """Whether nothing follows the mask."""
        return bool(self.after) and self.after.pieces[-1] == MASK

    def join(self, text: str, prompt: str, mask: str) -> str:
        """Return the whole string that the classifier is meant to see."""
        return self.before.render(prompt, mask) + text + self.after.render(prompt, mask)


def parse(template: str) -> Template:
    """Parse ``"{text} {prompt} {mask} ."``; ``{{`` and ``}}`` are braces of the template itself.

    Raises ValueError naming the field that is missing, unknown or repeated, with what to write instead.
    """
    pieces: list[Piece] = []
    for literal, field, form, conversion in string.Formatter().parse(template):
        if literal:
            pieces.append(Literal(literal))
        if field is not None:
            pieces.append(_known(field + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")))
    for field in FIELDS:
        if pieces.count(field) != 1:
            raise ValueError(
                f'must contain {{{field}}} exactly once. Write, for example, "{{text}}{{prompt}}{{mask}}".'
            )
    at = pieces.index(TEXT)
    return Template(Side(tuple(pieces[:at])), Side(tuple(pieces[at + 1 :])))


def _known(field: str) -> str:
    if field not in FIELDS:
        raise ValueError(f"may contain {{text}}, {{prompt}} and {{mask}}, but contains {{{field}}}. Take it out.")
    return field
