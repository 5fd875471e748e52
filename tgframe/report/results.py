"""The result of a run: systems against metrics, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tgframe.report.numbers import duration, plain, signed, size
from tgframe.report.reading import Row, mapping, number
from tgframe.report.run_files import RunFiles

LOWER = frozenset({"error", "loss", "perplexity", "nll", "wer", "cer"})
"""Words in a metric's name that say that less is better."""

Scores = Mapping[str, Mapping[str, float | None]]
"""Metric to system to score."""


@attrs.frozen
class Bar:
    """One system's score."""

    system: str
    value: float | None
    width: float
    """In percent."""
    best: bool


@attrs.frozen
class Metric:
    """One metric over all systems."""

    name: str
    bars: Sequence[Bar]
    lower: bool
    """Less is better."""

    def value(self, system: str) -> float | None:
        """Return the score of a system, None where it has none."""
        return next((bar.value for bar in self.bars if bar.system == system), None)

    @property
    def change(self) -> str:
        """How far training moved the score; empty where it was not measured twice."""
        before, after = self.value("before"), self.value("after")
        if before is None or after is None:
            return ""
        return f"{signed(after - before)} by training" if after != before else "as before training"


@attrs.frozen
class Part:
    """A share of a whole, for a bar of parts."""

    name: str
    text: str
    width: float
    """In percent."""


def scores_of(files: RunFiles) -> Scores:
    """Return the scores of result.json; of an unfinished run those that metrics.jsonl has so far."""
    if files.result is not None:
        return clean_scores(files.result.get("scores"))
    found: dict[str, dict[str, float | None]] = {}
    for row in files.rows("evaluate"):
        if "system" in row:
            for key in row.keys() - {"system", "split", "step", "phase"}:
                found.setdefault(key, {})[str(row["system"])] = number(row[key])
    return dict(sorted(found.items()))


def clean_scores(scores: Any) -> Scores:
    """Return scores as they should be, whatever else stands in a file left out."""
    metrics = mapping(scores).items()
    return {
        metric: {system: number(value) for system, value in mapping(systems).items()} for metric, systems in metrics
    }


def metrics_of(scores: Scores) -> list[Metric]:
    """Return every metric with its bars."""
    return [_metric(name, systems) for name, systems in scores.items() if systems]


def lower_is_better(metric: str) -> bool:
    """Return whether the name of a metric says that less is better."""
    return bool(LOWER & set(metric.lower().split("_")))


def best_of(values: Mapping[str, float | None], lower: bool) -> float | None:
    """Return the best score; None where fewer than two differ."""
    found = {value for value in values.values() if value is not None}
    if len(found) < 2:
        return None
    return min(found) if lower else max(found)


def _metric(name: str, systems: Mapping[str, float | None]) -> Metric:
    lower = lower_is_better(name)
    best, full = best_of(systems, lower), _full(systems)
    bars = [_bar(system, value, full, best) for system, value in systems.items()]
    return Metric(name, bars, lower)


def _full(systems: Mapping[str, float | None]) -> float:
    """Return what a full bar stands for: 1 for fractions."""
    highest = max((value for value in systems.values() if value is not None), default=0.0)
    return max(highest, 1.0)


def _bar(system: str, value: float | None, full: float, best: float | None) -> Bar:
    width = 100 * max(value, 0.0) / full if value is not None else 0.0
    return Bar(system, value, width, best is not None and value == best)


def cost_facts(cost: Row) -> list[tuple[str, str, Any]]:
    """Return name, text and exact value of what a run cost."""
    known = {
        "seconds": ("time", duration),
        "training_seconds": ("training", duration),
        "evaluation_seconds": ("evaluation", duration),
        "sampled_tokens": ("tokens sampled", plain),
        "preference_calls": ("preference calls", plain),
        "peak_memory_bytes": ("peak memory", size),
    }
    keys = [*known, *(key for key in cost if key not in known)]
    found = [(key, value) for key in keys if (value := number(cost.get(key))) is not None]
    return [(*_worded(known.get(key), key, value), value) for key, value in found]


def _worded(known: Any, key: str, value: float) -> tuple[str, str]:
    name, wording = known or (key.replace("_", " "), plain)
    return name, wording(value)


def time_parts(cost: Row) -> list[Part]:
    """Return the phases of a run by the time they took, longest first."""
    seconds = {name: value for name, raw in mapping(cost.get("phase_seconds")).items() if (value := number(raw))}
    total = sum(seconds.values())
    longest = sorted(seconds.items(), key=lambda item: -item[1])
    return [Part(name, duration(value), 100 * value / total) for name, value in longest]
