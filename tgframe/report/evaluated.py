"""The rows of eval.jsonl by test item: what every system was given, what each wrote, and its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from tgframe.report.reading import Row, number

LABEL = 30
"""Characters of the longest label: a column with nothing longer in it holds labels, not texts."""
NAMES = ("id", "item")
"""Columns that name a test item."""
ABOUT = frozenset({"system", "split", *NAMES})
"""Columns that say whose row it is."""


@attrs.frozen
class Item:
    """One test item."""

    place: int
    """In the order of the file."""
    name: str
    rows: Mapping[str, Row]
    """System to what the file says of it."""

    def change(self, score: str | None) -> float | None:
        """Return how far training moved a score; None where it was not measured twice."""
        before, after = (worth(self.rows.get(system, {}).get(score or "")) for system in ("before", "after"))
        return None if before is None or after is None else after - before


@attrs.frozen
class Evaluated:
    """All items that have texts, and what their columns are."""

    items: Sequence[Item]
    given: Sequence[str]
    """Columns of texts that are the same for all systems."""
    written: Sequence[str]
    """Columns of texts that differ between systems."""
    scores: Sequence[str]

    @property
    def first(self) -> str | None:
        """The first score that an item has both before and after training."""
        known = (score for score in self.scores if any(item.change(score) is not None for item in self.items))
        return next(known, None)


def evaluated(rows: Sequence[Row]) -> Evaluated:
    """Return the items of eval.jsonl, none where no column holds texts."""
    columns = _text_columns(rows)
    items = [item for item in _items(rows) if any(texts_of(row.get(key)) for row in _rows(item) for key in columns)]
    items = [attrs.evolve(item, place=place) for place, item in enumerate(items)]
    written = [key for key in columns if any(_differs(item, key) for item in items)]
    # Where no column tells systems apart, as with one system only, none is known to be given.
    given = [key for key in columns if key not in written] if written else []
    return Evaluated(items, given, written or columns, _scores(items))


def texts_of(value: Any) -> list[str]:
    """Return a text as a list of one, a list of texts as it is, and none for whatever else."""
    found = value if isinstance(value, list) else [value]
    return found if all(isinstance(text, str) for text in found) else []


def worth(value: Any) -> float | None:
    """Return a score; what is right or wrong counts 1 or 0."""
    return float(value) if isinstance(value, bool) else number(value)


def _text_columns(rows: Iterable[Row]) -> list[str]:
    longest: dict[str, int] = {}
    for key, value in _cells(rows):
        longest[key] = max([longest.get(key, 0), *map(len, texts_of(value))])
    return [key for key, length in longest.items() if length > LABEL]


def _scores(items: Iterable[Item]) -> list[str]:
    rows = (row for item in items for row in _rows(item))
    return list(dict.fromkeys(key for key, value in _cells(rows) if worth(value) is not None))


def _cells(rows: Iterable[Row]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for row in rows for key, value in row.items() if key not in ABOUT)


def _items(rows: Iterable[Row]) -> list[Item]:
    """Return the rows by item and system; what several rows say of the same stands together."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    unnamed: Counter[str] = Counter()
    for row in rows:
        system = str(row.get("system"))
        name = next((str(row[key]) for key in NAMES if key in row), None)
        if name is None:
            unnamed[system] += 1
            name = str(unnamed[system])
        found.setdefault(name, {}).setdefault(system, {}).update(row)
    return [Item(place, name, systems) for place, (name, systems) in enumerate(found.items())]


def _rows(item: Item) -> Iterable[Row]:
    return item.rows.values()


def _differs(item: Item, key: str) -> bool:
    values = [row[key] for row in _rows(item) if key in row]
    return any(value != values[0] for value in values)
