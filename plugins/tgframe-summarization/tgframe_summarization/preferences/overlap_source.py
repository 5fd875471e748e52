"""The preferences `rouge` and `meteor` at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tgframe_summarization.preferences.target_source import TargetSource
from tgframe_summarization.scorers import Scorers
from tgframe_summarization.scoring import Pair, Scoring, weighted


class OverlapSource(TargetSource):
    """The weighted mean of scores that compare words."""

    def __init__(self, weights: Mapping[str, float], scoring: Scoring) -> None:
        super().__init__()
        self.weights = dict(weights)
        self.scorers = Scorers(list(weights), scoring)

    def compare(self, pairs: Sequence[Pair]) -> list[float]:
        return [weighted(scores, self.weights) for scores in self.scorers(pairs)]
