"""Forest plots: how far each cell lies from the baseline, with intervals and every seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from tgframe.report.axis import Axis
from tgframe.report.reading import Row, mappings, number, whole
from tgframe.report.results import lower_is_better
from tgframe.report.swap_cells import Cell, Target

LEVEL = 0.05
"""Corrected p-values below it are marked."""

Interval = tuple[float, float]


@attrs.frozen
class Comparison:
    """One cell against the baseline."""

    target: Target
    cell: Cell
    against: str
    n: int
    difference: float | None
    t_interval: Interval | None
    bootstrap_interval: Interval | None
    p: float | None
    smallest_p: float | None
    p_corrected: float | None
    effect_size: float | None
    identical: bool
    note: str
    seeds: Sequence[float]
    """Differences of single seeds."""

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance, corrected for the number of comparisons."""
        return self.p_corrected is not None and self.p_corrected < LEVEL

    @property
    def verdict(self) -> str:
        """Better, worse, or not shown to be either."""
        if not self.shown or not self.difference:
            return "open"
        return "better" if (self.difference > 0) != lower_is_better(self.target.metric) else "worse"


@attrs.frozen
class Forest:
    """The comparisons of one metric of one system, best first."""

    target: Target
    axis: Axis
    baseline: Cell | None
    rows: Sequence[Comparison]

    @property
    def lower(self) -> bool:
        """Less is better."""
        return lower_is_better(self.target.metric)

    def at(self, value: float) -> str:
        """Return where ``value`` lies, in percent."""
        return self.axis.percent(value)


def comparisons_of(swap: Row, cells: Sequence[Cell]) -> list[Comparison]:
    """Return the comparisons of swap.json whose cells it has."""
    by_id = {cell.id: cell for cell in cells}
    known = [raw for raw in mappings(swap.get("comparisons")) if raw.get("cell") in by_id]
    return [_comparison(raw, by_id) for raw in known]


def forests_of(comparisons: Sequence[Comparison], cells: Sequence[Cell]) -> list[Forest]:
    """Return a forest plot for each target, in the order of swap.json; ``after`` before other systems."""
    baseline = next((cell for cell in cells if cell.baseline), None)
    targets = dict.fromkeys(one.target for one in comparisons)
    ordered = sorted(targets, key=lambda target: target.system != "after")
    return [_forest(target, [one for one in comparisons if one.target == target], baseline) for target in ordered]


def _forest(target: Target, rows: Sequence[Comparison], baseline: Cell | None) -> Forest:
    sign = 1 if lower_is_better(target.metric) else -1
    ordered = sorted(rows, key=lambda row: (row.difference is None, sign * (row.difference or 0.0)))
    places = [place for row in rows for place in _places(row)]
    return Forest(target, Axis.nice([0.0, *places], count=4), baseline, ordered)


def _places(row: Comparison) -> list[float]:
    """Return every value that the row draws."""
    intervals = [end for interval in (row.t_interval, row.bootstrap_interval) if interval for end in interval]
    return [*intervals, *row.seeds, *([row.difference] if row.difference is not None else [])]


def _comparison(raw: Row, cells: dict[str, Cell]) -> Comparison:
    target = Target(str(raw.get("metric")), str(raw.get("system")))
    cell, against = cells[raw["cell"]], str(raw.get("against"))
    note = raw.get("note")
    return Comparison(
        target,
        cell,
        against,
        whole(raw.get("n")),
        number(raw.get("difference")),
        _interval(raw.get("t_interval")),
        _interval(raw.get("bootstrap_interval")),
        number(raw.get("p")),
        number(raw.get("smallest_p")),
        number(raw.get("p_corrected")),
        number(raw.get("effect_size")),
        raw.get("identical") is True,
        "" if note is None else str(note),
        _paired(target, cell, cells.get(against)),
    )


def _paired(target: Target, cell: Cell, baseline: Cell | None) -> list[float]:
    """Return the difference of every seed that both cells have."""
    if baseline is None:
        return []
    theirs = baseline.scores(target)
    return [value - theirs[seed] for seed, value in cell.scores(target).items() if seed in theirs]


def _interval(raw: Any) -> Interval | None:
    if not isinstance(raw, list) or len(raw) != 2:
        return None
    low, high = number(raw[0]), number(raw[1])
    return None if low is None or high is None else (low, high)
