"""From summaries to an evaluation: scores, a row a summary, and what the numbers do not show."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tgframe import Evaluation

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_summarization.decoding import Written
    from tgframe_summarization.encoder_model import SentenceEncoder
    from tgframe_summarization.rows import Rows
    from tgframe_summarization.scorers import Scorers
    from tgframe_summarization.scoring import Pair
    from tgframe_summarization.task import Summarization


class Judge:
    """Scores every system in the same way."""

    def __init__(self, scorers: Scorers, options: Summarization, context: Context) -> None:
        self.scorers = scorers
        self.options = options
        self._context = context

    def evaluation(self, summaries: Sequence[str], rows: Rows, details: Mapping[str, Any]) -> Evaluation:
        """Return the mean scores of one summary a row, with what each got."""
        found = {key: rows.get(key).targets for key in rows.ids}
        pairs: list[Pair] = list(zip(summaries, found.values(), strict=True))
        scores = self._scores(pairs)
        items = [
            {"id": key, "summary": summary, "targets": list(targets), **{k: round(v, 6) for k, v in score.items()}}
            for key, (summary, targets), score in zip(found, pairs, scores, strict=True)
        ]
        means = {name: statistics.fmean(score[name] for score in scores) for name in scores[0]}
        return Evaluation(means, items, {**details, **_about(pairs)})

    def lengths(self, written: Sequence[Written]) -> dict[str, Any]:
        """Return how long what a policy wrote is, in its tokens."""
        return {
            "summary_tokens": statistics.fmean(summary.tokens for summary in written),
            "unfinished": sum(not summary.finished for summary in written),
        }

    def _scores(self, pairs: Sequence[Pair]) -> list[dict[str, float]]:
        scores = self.scorers(pairs)
        if self._encoder is not None:
            alike = self._encoder.similarities(pairs, self.options.scoring.targets)
            for score, value in zip(scores, alike, strict=True):
                score["similarity"] = min(1.0, max(0.0, value))
        return scores

    @cached_property
    def _encoder(self) -> SentenceEncoder | None:
        options = self.options.similarity
        return None if options is None else options.load(self._context)


def _about(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what summaries look like. Words are what stands between spaces."""
    words = [summary.lower().split() for summary, _ in pairs]
    count = sum(map(len, words))
    return {
        "summary_words": count / len(pairs),
        "target_words": statistics.fmean(len(target.split()) for _, targets in pairs for target in targets),
        "repeated_words": sum(len(text) - len(set(text)) for text in words) / max(1, count),
        "empty": sum(not text for text in words),
    }
