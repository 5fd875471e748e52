"""Scores many summaries, in this process or in several, always with the same result in the same order."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tgframe_summarization.scoring import Pair, Scorer, Scoring
from tgframe_summarization.workers import Workers

PAYS = 4000
"""Comparisons that a process must have before it is worth its start."""


class Scorers:
    """A scorer of this process, and others that are started when first there is enough to do."""

    def __init__(self, metrics: Sequence[str], scoring: Scoring) -> None:
        self.scorer = Scorer(metrics, scoring)
        self._workers: Workers | None = None

    def __call__(self, pairs: Sequence[Pair]) -> list[dict[str, float]]:
        """Return the scores of each pair, in order."""
        count = self._wanted(pairs)
        if count < 2:
            return self.scorer.all(pairs)
        if self._workers is None or self._workers.count < count:
            self.close()
            self._workers = Workers(self.scorer.metrics, self.scorer.scoring, count)
        return self._workers.all(pairs)

    def close(self) -> None:
        """End the other processes, where there are any. They end with this object and this process, too."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _wanted(self, pairs: Sequence[Pair]) -> int:
        told = self.scorer.scoring.workers
        if told:
            return min(told, len(pairs))
        return min(_cores(), sum(len(targets) for _, targets in pairs) // PAYS)


def _cores() -> int:
    """The cores that belong to this process, where several share a machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
