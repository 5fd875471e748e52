"""The cells of a swap: what each was set to, and what its runs gave and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tgframe.report.reading import Row, mapping, mappings, mean, number, whole
from tgframe.report.results import Scores, clean_scores

COSTS = {
    "training_seconds": ("training, seconds", 1),
    "preference_calls": ("preference calls", 1),
    "sampled_tokens": ("tokens sampled", 1),
    "seconds": ("all time, seconds", 1),
    "peak_memory_bytes": ("peak memory, MiB", 2**20),
}
"""Costs that quality is held against, in the order in which they matter: title and unit."""


ERROR = 500
"""Characters of an error that are shown."""


@attrs.frozen
class Target:
    """What is measured: a metric of a system."""

    metric: str
    system: str

    def __str__(self) -> str:
        return f"{self.metric.replace('_', ' ')}, {self.system.replace('_', ' ')}"


@attrs.frozen
class SeedRun:
    """One run of a cell."""

    seed: int
    folder: str
    status: str
    error: str
    scores: Scores
    cost: Row

    def score(self, target: Target) -> float | None:
        """Return a score, None where the run does not have it."""
        return mapping(self.scores.get(target.metric)).get(target.system)


@attrs.frozen
class Cell:
    """One setting of what was varied."""

    number: int
    id: str
    settings: Mapping[str, str]
    baseline: bool
    runs: Sequence[SeedRun]

    @property
    def name(self) -> str:
        """Its values, numbers and the like with the option that they are of."""
        return " · ".join(_named(key, value) for key, value in self.settings.items()) or self.id

    def count(self, status: str) -> int:
        """Return how many runs have this status."""
        return sum(run.status == status for run in self.runs)

    def scores(self, target: Target) -> dict[int, float]:
        """Return the scores by seed."""
        return {run.seed: value for run in self.runs if (value := run.score(target)) is not None}

    def cost(self, name: str) -> float | None:
        """Return the mean cost of the runs that are done."""
        return mean(number(run.cost.get(name)) for run in self.runs if run.status == "done")


def cells_of(swap: Row) -> list[Cell]:
    """Return the cells of swap.json."""
    return [_cell(index, raw) for index, raw in enumerate(mappings(swap.get("cells")), 1)]


def _cell(index: int, raw: Row) -> Cell:
    settings = {str(key): str(value) for key, value in mapping(raw.get("settings")).items()}
    runs = [_run(run) for run in mappings(raw.get("runs"))]
    return Cell(index, str(raw.get("id", index)), settings, raw.get("baseline") is True, runs)


def _run(raw: Row) -> SeedRun:
    return SeedRun(
        whole(raw.get("seed")),
        str(raw.get("folder", "")),
        str(raw.get("status", "pending")),
        _text(raw.get("error")),
        clean_scores(raw.get("scores")),
        mapping(raw.get("cost")),
    )


def _named(key: str, value: str) -> str:
    """Return a value that speaks for itself alone, another with the last part of its option's name."""
    option = key.rpartition(".")[2]
    speaks = value[:1].isalpha() and value not in ("true", "false", "null")
    return value if speaks else f"{option} {value}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)[:ERROR]
