"""Swaps on the terminal: the plan with its cost, and the table of cells by score, difference, test and cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tgframe.swap.plan import Plan

SYSTEM = "after"
"""The trained policy."""
_NONE = "-"


def show_plan(plan: Plan) -> str:
    """Return the cells with what one run of each will do at most, and all runs together."""
    seeds = len(plan.request.seeds)
    costs = [plan.costs[cell.id] for cell in plan.cells]
    counts = [(cost.steps, cost.ground_steps, cost.completions, cost.judgments) for cost in costs]
    rows = [["cell, one seed", "steps", "grounding steps", "completions", "of them judged"]]
    for cell, count in zip(plan.cells, counts, strict=True):
        rows.append([_named(cell.id, cell.baseline), *(f"{number:,}" for number in count)])
    total = [seeds * sum(column) for column in zip(*counts, strict=True)]
    rows.append([f"all cells, {counted(seeds, 'seed')}", *(f"{number:,}" for number in total)])
    return f"{_aligned(rows)}\n* the baseline; counts are at most, the task's own evaluation comes on top"


def show_results(found: Mapping[str, Any]) -> str:
    """Return the main metric of the trained policy, cell by cell, and what is to be known about it.

    ``found`` is what ``swap.json`` holds.
    """
    metric = main_metric(found)
    if metric is None:
        return f"No run has a score of {SYSTEM!r}."
    means = {row["cell"]: row for row in found["summary"] if _is_main(row, metric)}
    compared = {row["cell"]: row for row in found["comparisons"] if _is_main(row, metric)}
    rows = [["cell", f"{metric} [95 %]", "difference [95 %]", "p", "Holm", "seconds", "calls", "MiB"]]
    for cell in found["cells"]:
        name = cell["id"]
        shown = [_mean(means[name]), *_difference(compared.get(name)), *_costs(cell["runs"])]
        rows.append([_named(name, cell["baseline"]), *shown])
    return "\n".join([_aligned(rows), *_legend(list(compared.values()))])


def show_run(found: Mapping[str, Any], cell: str, seed: int) -> str:
    """Return one line about one run."""
    runs = next(one["runs"] for one in found["cells"] if one["id"] == cell)
    run = next(run for run in runs if run["seed"] == seed)
    name = f"{cell} seed {seed}"
    if run["status"] != "done":
        return f"{name}: {run['status']}: {run['error']}"
    metric = main_metric(found)
    score = run["scores"].get(metric, {}).get(SYSTEM)
    return f"{name}: {metric} {_NONE if score is None else f'{score:.4f}'}, {_seconds(run['cost']['seconds'])} s"


def main_metric(found: Mapping[str, Any]) -> str | None:
    """Return the first metric that scores the trained policy; None where there is none."""
    return next((row["metric"] for row in found["summary"] if row["system"] == SYSTEM), None)


def counted(number: int, noun: str) -> str:
    """Return ``1 run``, ``2 runs``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _is_main(row: Mapping[str, Any], metric: str) -> bool:
    return bool(row["metric"] == metric and row["system"] == SYSTEM)


def _legend(compared: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"* the baseline; means of {SYSTEM!r} over seeds with t-intervals; median seconds and calls, most MiB"]
    smallest = [row["smallest_p"] for row in compared if row["smallest_p"] is not None]
    if smallest:
        test = f"p: sign-flip test of the differences, paired by seed (smallest attainable {max(smallest):.2g})"
        lines.append(f"{test}; Holm: corrected for the number of cells")
    return lines + [f"{row['cell']}: {row['note']}" for row in compared if row["note"]]


def _named(cell: str, baseline: bool) -> str:
    return f"{cell} *" if baseline else cell


def _mean(row: Mapping[str, Any]) -> str:
    shown = _NONE if row["mean"] is None else f"{row['mean']:.4f}{_interval(row, 'interval', '.4f')}"
    return f"{shown} ({row['failed']} failed)" if row["failed"] else shown


def _difference(row: Mapping[str, Any] | None) -> list[str]:
    """Return the difference with its interval, p, and p corrected; nothing for the baseline."""
    if row is None:
        return ["", "", ""]
    if row["identical"] or row["difference"] is None:
        return ["identical" if row["identical"] else _NONE, "", ""]
    ps = [_NONE if row[key] is None else f"{row[key]:.3f}" for key in ("p", "p_corrected")]
    return [f"{row['difference']:+.4f}{_interval(row, 't_interval', '+.4f')}", *ps]


def _interval(row: Mapping[str, Any], key: str, form: str) -> str:
    return "" if row[key] is None else f" [{row[key][0]:{form}}, {row[key][1]:{form}}]"


def _costs(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = []
    for name in ("seconds", "preference_calls", "peak_memory_bytes"):
        columns.append([run["cost"][name] for run in runs if run["cost"][name] is not None])
    seconds, calls, memory = columns
    return [
        _seconds(statistics.median(seconds)) if seconds else _NONE,
        f"{statistics.median(calls):,.0f}" if calls else _NONE,
        f"{max(memory) / 2**20:,.0f}" if memory else _NONE,
    ]


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns: the first to the left, the others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = []
    for name, *cells in rows:
        shown = [f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True)]
        lines.append("  ".join([f"{name:<{first}}", *shown]).rstrip())
    return "\n".join(lines)
