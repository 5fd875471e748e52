"""Test items of two runs side by side: which of them are the same, and where a score comes from their mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from tgframe.swap.statistics import Floats

_NAMES = ("id", "item")
"""Fields that name a test item."""
_CLOSE = 1e-4
"""Relative distance up to which a mean over items is the score; items may be rounded to four places."""

Column = Mapping[Any, float]
"""One value an item, by the item's name."""


@attrs.frozen(eq=False)
class Items:
    """What a run says of every test item."""

    data: Any
    """Where the items come from, as the run's manifest has it."""
    columns: Mapping[str, Mapping[str, Column]]
    """System, then field, to its column."""

    def behind(self, system: str, score: float) -> Iterator[str]:
        """Yield the fields of a system whose mean over its items is ``score``."""
        for field, column in self.columns.get(system, {}).items():
            mean = sum(column.values()) / len(column)
            if abs(mean - score) <= _CLOSE * max(1.0, abs(score)):
                yield field


def read_items(folder: Path) -> Items:
    """Read the rows of ``eval.jsonl``, and what the manifest says of the data."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    path = folder / "eval.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    by_system: dict[str, list[Mapping[str, Any]]] = {}
    for row in map(json.loads, lines):
        by_system.setdefault(row["system"], []).append(row)
    return Items(manifest.get("data"), {system: _columns(rows) for system, rows in by_system.items()})


def item_differences(
    pairs: Sequence[tuple[Items, Items]], system: str, scores: Sequence[tuple[float, float]]
) -> list[Floats] | str:
    """Return for each pair of runs the differences item by item, float64 ``[items]``, or why there are none.

    The field is one that has the score as its mean in all runs.
    """
    fields: set[str] | None = None
    for (one, other), (high, low) in zip(pairs, scores, strict=True):
        if one.data != other.data:
            return "seeds alone are resampled: the cells have different data"
        found = set(one.behind(system, high)) & set(other.behind(system, low))
        fields = found if fields is None else fields & found
    for field in sorted(fields or ()):
        columns = [(one.columns[system][field], other.columns[system][field]) for one, other in pairs]
        if all(one.keys() == other.keys() for one, other in columns):
            return [_subtract(*pair) for pair in columns]
    return "seeds alone are resampled: no field of the test items has this score as its mean"


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    name = next((name for name in _NAMES if all(name in row for row in rows)), None)
    if name is None:
        return {}
    fields = dict.fromkeys(field for row in rows for field in row if field != name)
    found = {field: _column([row for row in rows if field in row], name, field) for field in fields}
    return {field: column for field, column in found.items() if column is not None}


def _column(rows: Sequence[Mapping[str, Any]], name: str, field: str) -> Column | None:
    """Return a numeric field by item; None where it is not one, or where two rows name the same item."""
    if not all(isinstance(row[field], bool | int | float) for row in rows):
        return None
    column = {str(row[name]): float(row[field]) for row in rows}
    return column if len(column) == len(rows) else None


def _subtract(one: Column, other: Column) -> Floats:
    return np.array([one[name] - other[name] for name in one], dtype=np.float64)
