"""Supervised fine-tuning on demonstrations: the baseline that learns from good completions alone."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from torch import Tensor

from tgframe import LMObjective, Step
from tgframe_ulma.demonstrations import Demonstration, Marked
from tgframe_ulma.logs import counts, means
from tgframe_ulma.reduction import mean_over
from tgframe_ulma.sequences import ACCEPTED, log_likelihoods


@attrs.frozen
class SFT(LMObjective):
    """Maximum likelihood of demonstrations; all other completions are ignored.

    The log-probability of a completion is that of its tokens through the recipe's aggregator.
    """

    demonstrations: Demonstration = attrs.field(factory=Marked)
    """Which completions are learned: those ``marked`` by the preference, those with a high label, or ``all``."""

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "aggregator"}) | self.demonstrations.needs()

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return {**self.demonstrations.accepts(), **ACCEPTED}

    def denominator(self, step: Step) -> float:
        return float(self.demonstrations.marked(step).sum())

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        nll, shown = -log_likelihoods(step), self.demonstrations.marked(step)
        logs = {**means(nll, {"nll_demonstration": shown}), **counts({"demonstrations": shown})}
        return mean_over(nll, shown), logs
