"""Which rows of samples.jsonl the page shows, where it cannot show all."""

from __future__ import annotations

import attrs

from tgframe.report.completions import PROMPT, TOKENS
from tgframe.report.index import Index, Place
from tgframe.report.reading import Row, mappings

ROWS = 60
"""Rows that the page shows at most."""
SIZE = 1_600_000
"""Bytes that they may take on the page, about."""
BEST, WORST = 8, 4
"""Rows with the highest and the lowest true preference that are among them."""


@attrs.frozen
class Chosen:
    """Rows that the page shows, with their places in the index."""

    rows: dict[int, Row]
    total: int

    @property
    def said(self) -> str:
        """How many of how many, and which."""
        if len(self.rows) == self.total:
            return f"All {self.total} rows of samples.jsonl." if self.total != 1 else "The one row of samples.jsonl."
        return (
            f"{len(self.rows)} of {self.total:,} rows of samples.jsonl: the first, the last, the best and the worst, "
            "the others evenly over time."
        )


def choose(index: Index) -> Chosen:
    """Choose rows evenly over time, and the best and the worst, until the page is full; the newest is always there."""
    rows: dict[int, Row] = {}
    size = 0
    for place in _wanted(index):
        row = index.load(place)
        size += _size(row)
        if rows and size > SIZE:
            break
        rows[place] = row
    return Chosen(dict(sorted(rows.items())), len(index.entries))


def _wanted(index: Index) -> list[int]:
    """Return the places to show, the most wanted first."""
    count = len(index.entries)
    if not count:
        return []
    extremes = _extremes(index) if count > ROWS else []
    spread = even(count, ROWS - len(extremes))
    # Extremes come early but not first, so that a page that is full soon has some of both.
    early = len(spread) // 4
    return list(dict.fromkeys([count - 1, 0, *spread[:early], *extremes, *spread[early:]]))


def _extremes(index: Index) -> list[int]:
    """Return the rows with the highest and the lowest true preference."""
    judged = [(entry.best, place) for place, entry in enumerate(index.entries) if entry.best is not None]
    ordered = [place for _, place in sorted(judged, reverse=True)]
    return list(dict.fromkeys([*ordered[:BEST], *ordered[::-1][:WORST]]))


def even(count: int, wanted: int) -> list[int]:
    """Return places evenly from 0 to ``count - 1``, such that the first few of them are even too."""
    wanted = min(wanted, count)
    places = [index * (count - 1) // max(wanted - 1, 1) for index in range(wanted)]
    bits = max(wanted - 1, 1).bit_length()
    order = sorted(range(wanted), key=lambda index: f"{index:0{bits}b}"[::-1])
    return [places[index] for index in order]


def _size(row: Row) -> int:
    """Return about how many bytes a row takes on the page: tokens with their mark-up, and once more to be read out."""
    size = min(len(str(row.get("prompt", ""))), PROMPT)
    for completion in mappings(row.get("completions")):
        tokens = completion.get("tokens")
        shown = tokens[:TOKENS] if isinstance(tokens, list) else []
        size += 700 + sum(60 + 2 * len(str(token).encode(errors="replace")) for token in shown)
    return size


def best_places(index: Index, count: int) -> list[Place]:
    """Return where the best outputs are, each text once; none where few are judged, or many are equally good."""
    ordered = sorted(index.judged.values(), key=lambda found: -found[0])
    if len(ordered) <= count or ordered[0][0] == ordered[count][0]:
        return []
    return [place for _, place in ordered[:count]]
