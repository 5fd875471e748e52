"""What the page of a swap shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from tgframe.report.forest import Forest, Interval, comparisons_of, forests_of
from tgframe.report.reading import Row, mapping, mappings, newest, number, whole
from tgframe.report.results import best_of, lower_is_better
from tgframe.report.swap_cells import Cell, Target, cells_of
from tgframe.report.tradeoff import Tradeoff, tradeoffs_of

FORESTS = 20
"""Forest plots that are shown; the table and swap.json have the others."""
ROWS = 1500
"""Comparisons that the table shows."""


@attrs.frozen
class Mean:
    """A cell's mean score."""

    value: float | None
    interval: Interval | None
    n: int
    best: bool


@attrs.frozen
class Scored:
    """A cell with its means, one a target."""

    cell: Cell
    means: Sequence[Mean]


@attrs.frozen
class Varied:
    """What was varied, with the baseline's own value."""

    key: str
    values: Sequence[tuple[str, bool]]


def swap_page(folder: Path, swap: Row) -> dict[str, Any]:
    """Return what templates/swap.html needs."""
    cells = cells_of(swap)
    comparisons = comparisons_of(swap, cells)
    forests = forests_of(comparisons, cells)
    targets = _targets(swap)
    ordered = [row for forest in forests for row in forest.rows]
    headline = forests[0].target if forests else (targets[0] if targets else None)
    return {
        "title": folder.resolve().name,
        "recipe": str(swap.get("recipe", "")),
        "facts": _facts(folder, swap, cells),
        "varied": _varied(swap, cells),
        "mode": str(swap.get("mode", "")),
        "cells": cells,
        "failed": [(cell, run) for cell in cells for run in cell.runs if run.status == "failed"],
        "pending": sum(cell.count("pending") for cell in cells),
        "headline": headline,
        "said": _said(forests[0]) if forests else "",
        "forests": forests[:FORESTS],
        "tradeoffs": _tradeoffs(swap, headline, cells),
        "targets": targets,
        "scored": _scored(swap, targets, cells),
        "comparisons": ordered[:ROWS],
        "left_out": max(0, len(comparisons) - ROWS),
        "data": {},
    }


def _facts(folder: Path, swap: Row, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    seeds, budget = swap.get("seeds"), mapping(swap.get("budget"))
    count = {status: sum(cell.count(status) for cell in cells) for status in ("done", "failed", "pending")}
    facts = [
        ("seeds", _listed(seeds) if isinstance(seeds, list) else ""),
        ("runs", ", ".join(f"{number} {status}" for status, number in count.items() if number)),
        ("budget", ", ".join(f"{value:,} {str(key).replace('_', ' ')}" for key, value in budget.items() if value)),
        ("overrides", "  ".join(str(one) for one in swap.get("overrides") or ())),
        ("versions", ", ".join(f"{name} {version}" for name, version in mapping(swap.get("versions")).items())),
        ("machine", str(swap.get("machine") or "")),
        ("last written", newest(folder, ["swap.json"])),
    ]
    return [(name, text) for name, text in facts if text]


def _listed(seeds: Sequence[Any]) -> str:
    """Return seeds as people write them: 0 to 7."""
    numbers = [whole(seed) for seed in seeds]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _varied(swap: Row, cells: Sequence[Cell]) -> list[Varied]:
    own = next((cell.settings for cell in cells if cell.baseline), {})
    return [
        Varied(key, [(str(value), own.get(key) == str(value)) for value in raw.get("values") or ()])
        for raw in mappings(swap.get("vary"))
        for key in [str(raw.get("key"))]
    ]


def _targets(swap: Row) -> list[Target]:
    """Return what is measured, ``after`` first: other systems are what it is compared with."""
    found = dict.fromkeys(
        Target(str(raw.get("metric")), str(raw.get("system"))) for raw in mappings(swap.get("summary"))
    )
    return sorted(found, key=lambda target: target.system != "after")


def _means(swap: Row, target: Target) -> dict[str, Row]:
    """Return the summary rows of a target by cell id."""
    rows = mappings(swap.get("summary"))
    mine = [row for row in rows if (row.get("metric"), row.get("system")) == (target.metric, target.system)]
    return {str(row.get("cell")): row for row in mine}


def _scored(swap: Row, targets: Sequence[Target], cells: Sequence[Cell]) -> list[Scored]:
    columns = [_column(_means(swap, target), target, cells) for target in targets]
    return [Scored(cell, [column[index] for column in columns]) for index, cell in enumerate(cells)]


def _column(rows: dict[str, Row], target: Target, cells: Sequence[Cell]) -> list[Mean]:
    """Return the means of one target, one a cell."""
    values = {cell.id: number(mapping(rows.get(cell.id)).get("mean")) for cell in cells}
    best = best_of(values, lower_is_better(target.metric))
    return [_mean(mapping(rows.get(cell.id)), values[cell.id], best) for cell in cells]


def _mean(row: Row, value: float | None, best: float | None) -> Mean:
    ends = row.get("interval")
    low, high = (number(end) for end in ends) if isinstance(ends, list) and len(ends) == 2 else (None, None)
    interval = None if low is None or high is None else (low, high)
    return Mean(value, interval, whole(row.get("n")), best is not None and value == best)


def _tradeoffs(swap: Row, target: Target | None, cells: Sequence[Cell]) -> list[Tradeoff]:
    if target is None:
        return []
    means = {cell: number(row.get("mean")) for cell, row in _means(swap, target).items()}
    return tradeoffs_of(target, {cell: value for cell, value in means.items() if value is not None}, cells)


def _said(forest: Forest) -> str:
    """Return the outcome of the first forest in a sentence."""
    tested = [row for row in forest.rows if row.p_corrected is not None]
    if not tested:
        return "with these seeds nothing can be tested; the differences may be chance."
    better, worse = (sum(row.verdict == verdict for row in tested) for verdict in ("better", "worse"))
    if not better and not worse:
        return "no cell differs from the baseline by more than chance (corrected p below 0.05)."
    return (
        f"of {len(tested)} cells, {_are(better)} better than the baseline and {_are(worse)} worse "
        "by more than chance (corrected p below 0.05)."
    )


def _are(count: int) -> str:
    return {0: "none is", 1: "1 is"}.get(count, f"{count} are")
