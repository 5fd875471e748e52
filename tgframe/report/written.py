"""What the systems wrote: some items of eval.jsonl, and how they were chosen."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from markupsafe import escape

from tgframe.report.choose import even
from tgframe.report.evaluated import Evaluated, Item, evaluated, texts_of, worth
from tgframe.report.reading import Row

ITEMS = 30
"""Items that the page shows at most."""
SIZE = 700_000
"""Bytes that they may take on the page, about."""
CHARACTERS = 4000
"""Characters of a text that are shown."""
FOLDED = 400
"""Characters of a given text from which it is folded away."""
BESIDE, NAME = 6, 11
"""Scores that stand in columns beside the texts at most, and characters of the name of such a score."""


@attrs.frozen
class Column:
    """The texts of one column."""

    name: str
    texts: Sequence[str]
    """As much of them as is shown."""
    cut: int
    """Characters that are not shown."""

    @property
    def folded(self) -> bool:
        """Whether it is too long to stand above what was written."""
        return any(len(text) > FOLDED for text in self.texts)


@attrs.frozen
class Output:
    """What one system wrote."""

    system: str
    columns: Sequence[Column]
    scores: Sequence[float | None]
    same: bool
    """The same as before training."""


@attrs.frozen
class Shown:
    """One item with what all systems wrote."""

    place: int
    name: str
    change: float | None
    given: Sequence[Column]
    outputs: Sequence[Output]

    @property
    def size(self) -> int:
        """Bytes that it takes on the page, about."""
        columns = [*self.given, *(column for output in self.outputs for column in output.columns)]
        texts = sum(len(escape(text).encode(errors="replace")) for column in columns for text in column.texts)
        return texts + 400 + sum(300 + 120 * len(output.scores) for output in self.outputs)


@attrs.frozen
class Written:
    """The section of the page."""

    score: str | None
    """Whose change the items are chosen and ordered by."""
    scores: Sequence[str]
    items: Sequence[Shown]
    said: str
    """How many of how many, and how they were chosen."""
    changes: str
    """How the score and the texts of all items changed; empty where that is not known."""

    @property
    def beside(self) -> bool:
        """Whether the scores are few enough to stand beside the texts."""
        return len(self.scores) <= BESIDE and all(len(score) <= NAME for score in self.scores)


def written(rows: Sequence[Row]) -> Written | None:
    """Return the section, None where the rows hold no texts."""
    found = evaluated(rows)
    if not found.items:
        return None
    items = choose_items(found)
    said = _said(len(items), len(found.items), found.first)
    return Written(found.first, found.scores, items, said, _changes(found))


def choose_items(found: Evaluated) -> list[Shown]:
    """Choose items evenly over the ranks of their change, both ends included, until the page is full.

    Where no change is known, evenly over the file. They stay in the order of the file.
    """
    ranked = _ranked(found)
    ends = [len(ranked) - 1, 0]
    chosen: list[Shown] = []
    size = 0
    for place in dict.fromkeys([*ends, *even(len(ranked), ITEMS)]):
        item = _shown(found, ranked[place])
        size += item.size
        if chosen and size > SIZE:
            break
        chosen.append(item)
    return sorted(chosen, key=lambda item: item.place)


def _ranked(found: Evaluated) -> Sequence[Item]:
    """Return the items by their change, from the lowest; in the order of the file where few or none have one."""
    if len(found.items) <= ITEMS:
        return found.items
    changes = [(change, item) for item in found.items if (change := item.change(found.first)) is not None]
    return [item for _, item in sorted(changes, key=lambda pair: pair[0])] or found.items


def _shown(found: Evaluated, item: Item) -> Shown:
    rows = item.rows
    any_row = {key: value for row in rows.values() for key, value in row.items()}
    return Shown(
        item.place,
        item.name,
        item.change(found.first),
        _columns(any_row, found.given),
        [_output(found, item, system) for system, row in rows.items() if _columns(row, found.written)],
    )


def _output(found: Evaluated, item: Item, system: str) -> Output:
    row = item.rows[system]
    scores = [worth(row.get(score)) for score in found.scores]
    return Output(system, _columns(row, found.written), scores, system == "after" and _unchanged(found, item))


def _unchanged(found: Evaluated, item: Item) -> bool:
    """Return whether training changed nothing of what is written."""
    before, after = item.rows.get("before"), item.rows.get("after")
    return before is not None and after is not None and all(before.get(key) == after.get(key) for key in found.written)


def _columns(row: Row, names: Sequence[str]) -> list[Column]:
    found = [(name, texts_of(row.get(name))) for name in names]
    return [_column(name, texts) for name, texts in found if texts]


def _column(name: str, texts: Sequence[str]) -> Column:
    return Column(name, [text[:CHARACTERS] for text in texts], sum(max(0, len(text) - CHARACTERS) for text in texts))


def _said(shown: int, total: int, score: str | None) -> str:
    if shown == total:
        return f"All {total} items of eval.jsonl." if total != 1 else "The one item of eval.jsonl."
    if score is None:
        return f"{shown} of {total:,} items of eval.jsonl, evenly over the file."
    return (
        f"{shown} of {total:,} items of eval.jsonl, spread evenly over the change of {_name(score)} by training: "
        "of all items ranked by it, the lowest, the highest, and those at equal steps between."
    )


def _name(score: str | None) -> str:
    return (score or "").replace("_", " ")


def _changes(found: Evaluated) -> str:
    changes = [change for item in found.items if (change := item.change(found.first)) is not None]
    if not changes:
        return ""
    rose, fell = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    same = sum(_unchanged(found, item) for item in found.items)
    told = f"; on {same:,} the text is the same as before, word for word" if same else ""
    return (
        f"By training, {_name(found.first)} rose on {rose:,} of {len(changes):,} items, fell on {fell:,} and stayed "
        f"on {len(changes) - rose - fell:,}{told}."
    )
