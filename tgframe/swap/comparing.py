"""The rows of ``swap.json`` that say how good a cell is, and how much better than the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tgframe.swap.cells import Cell
from tgframe.swap.items import item_differences
from tgframe.swap.results import Results
from tgframe.swap.statistics import Floats, holm, paired, t_interval


def summary(results: Results) -> list[dict[str, Any]]:
    """Return a row for each metric, system and cell."""
    return [_mean(results, metric, system, cell) for metric, system in results.names() for cell in results.plan.cells]


def comparisons(results: Results) -> list[dict[str, Any]]:
    """Return a row for each metric, system and cell but the baseline.

    p-values are corrected over the cells of one metric and system. Bootstrap intervals, which read every test item of
    every run, come when no run is to come any more.
    """
    others = [cell for cell in results.plan.cells if not cell.baseline]
    rows = []
    for metric, system in results.names():
        family = [_comparison(results, metric, system, cell) for cell in others]
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            rows.append({key: p if key == "p_corrected" else value for key, value in row.items()})
    return rows


def _mean(results: Results, metric: str, system: str, cell: Cell) -> dict[str, Any]:
    found = (results.score(cell, seed, metric, system) for seed in results.plan.request.seeds)
    scores = [score for score in found if score is not None]
    return {
        "metric": metric,
        "system": system,
        "cell": cell.id,
        "n": len(scores),
        "failed": len(results.failed(cell)),
        "mean": sum(scores) / len(scores) if scores else None,
        "interval": t_interval(scores),
    }


def _comparison(results: Results, metric: str, system: str, cell: Cell) -> dict[str, Any]:
    baseline = results.plan.baseline
    pairs = _pairs(results, metric, system, cell)
    scores, against = [one for one, _ in pairs.values()], [other for _, other in pairs.values()]
    items = _items(results, system, cell, pairs) if results.complete and len(pairs) > 1 else None
    found = paired(scores, against, None if isinstance(items, str) else items, bootstrap=results.complete)
    notes = [*_lost(results, metric, system, cell, len(pairs)), *found.notes]
    if isinstance(items, str) and found.bootstrap_interval is not None:
        notes.append(items)
    return {
        "metric": metric,
        "system": system,
        "cell": cell.id,
        "against": baseline.id,
        "n": found.n,
        "difference": found.difference,
        "t_interval": found.t_interval,
        "bootstrap_interval": found.bootstrap_interval,
        "p": found.p,
        "smallest_p": found.smallest_p,
        "p_corrected": None,
        "effect_size": found.effect_size,
        "identical": found.identical,
        "note": "; ".join(notes) or None,
    }


def _pairs(results: Results, metric: str, system: str, cell: Cell) -> dict[int, tuple[float, float]]:
    """Return seed to the scores of a cell and of the baseline, for the seeds that both have."""
    pairs = {}
    for seed in results.plan.request.seeds:
        one = results.score(cell, seed, metric, system)
        other = results.score(results.plan.baseline, seed, metric, system)
        if one is not None and other is not None:
            pairs[seed] = one, other
    return pairs


def _items(results: Results, system: str, cell: Cell, pairs: dict[int, tuple[float, float]]) -> Sequence[Floats] | str:
    both = [(results.items(cell, seed), results.items(results.plan.baseline, seed)) for seed in pairs]
    return item_differences(both, system, list(pairs.values()))


def _lost(results: Results, metric: str, system: str, cell: Cell, n: int) -> list[str]:
    """Say why seeds are not in a comparison."""
    seeds, both = results.plan.request.seeds, (cell, results.plan.baseline)
    failed, pending = set(results.failed(*both)), set(results.pending(*both))
    notes = [f"{len(failed)} of {len(seeds)} seeds failed in a cell"] if failed else []
    if pending - failed:
        notes.append(f"{len(pending - failed)} of {len(seeds)} seeds are not finished")
    finished = [seed for seed in seeds if seed not in failed | pending]
    if n < len(finished):
        without = [
            repr(one.id) for one in both if any(results.score(one, seed, metric, system) is None for seed in finished)
        ]
        notes.append(f"{len(finished) - n} of {len(seeds)} seeds have no such score in {' and '.join(without)}")
    return notes
