"""How the guidance of one and the same text changed from grounding to grounding."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tgframe.report.completions import Completion, completion_of
from tgframe.report.fits import Fits
from tgframe.report.index import Index, Place
from tgframe.report.palette import Palette
from tgframe.report.reading import Row, mappings

TEXTS = 6
"""Texts that are followed."""
SHORT = 120
"""Tokens of the longest text that is followed."""
FITS = 12
"""Fits under which a text is shown, the latest."""


@attrs.frozen
class Strip:
    """One text under one fit."""

    fit: int
    updates: int
    completion: Completion


@attrs.frozen
class Followed:
    """One text under every fit under which samples.jsonl has it."""

    text: str
    strips: Sequence[Strip]


def places(index: Index, fits: Fits) -> list[list[Place]]:
    """Return where the texts occur that samples.jsonl has under several fits: the last place under each fit.

    Texts under most fits come first.
    """
    found = [_last_under_each(index, fits, occurrences) for occurrences in index.texts.values() if len(occurrences) > 1]
    return sorted((one for one in found if len(one) > 1), key=lambda one: -len(one))[:TEXTS]


def _last_under_each(index: Index, fits: Fits, occurrences: Sequence[Place]) -> list[Place]:
    under = {fits.after(index.entries[row].updates): (row, position) for row, position in occurrences}
    return [under[fit] for fit in sorted(under)][-FITS:]


def follow(index: Index, fits: Fits, found: Sequence[Sequence[Place]], palette: Palette) -> list[Followed]:
    """Return the texts at these places, with their guidance under each fit."""
    followed = []
    for occurrences in found:
        strips = [_strip(index, fits, place, palette) for place in occurrences]
        if all(len(strip.completion.tokens) <= SHORT for strip in strips):
            followed.append(Followed(strips[0].completion.text, strips))
    return followed


def _strip(index: Index, fits: Fits, place: Place, palette: Palette) -> Strip:
    entry = index.entries[place[0]]
    return Strip(fits.after(entry.updates), entry.updates, completion_of(raw_completion(index, place), palette))


def raw_completion(index: Index, place: Place) -> Row:
    """Read one completion again."""
    return mappings(index.load(place[0]).get("completions"))[place[1]]
