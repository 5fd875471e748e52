"""Likelihood on good completions, unlikelihood on bad ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import torch
from attrs.validators import ge
from torch import Tensor

from tgframe import LMObjective, Step
from tgframe_ulma.labels import positive
from tgframe_ulma.logs import counts, means
from tgframe_ulma.pairs import judged
from tgframe_ulma.reduction import reduced
from tgframe_ulma.sequences import ACCEPTED, log_likelihoods

CLOSEST = 1e-6
"""A token's probability counts as 1 minus this where it is nearer to 1, so that its loss is 13.8 nats at most."""


@attrs.frozen
class Unlikelihood(LMObjective):
    """Maximum likelihood of completions with the label 1; of those with 0, every token is made unlikely.

    ``-log p_t`` for the tokens of good completions, ``-weight log(1 - p_t)`` for those of bad ones, each through the
    recipe's aggregator. Token by token, because one minus the probability of a whole text is 1, to the last bit.
    Unlike plain descent of ``log p`` it is bounded: a token that is unlikely already costs nothing.
    Source: Welleck et al. 2019, Neural Text Generation with Unlikelihood Training.
    """

    weight: float = attrs.field(default=1.0, validator=ge(0.0))
    """Weight of the unlikelihood of bad completions."""
    balance: bool = False
    """Average over good and bad completions by themselves and add the averages, instead of averaging over all; in a
    step that is divided, within each part."""

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "preferences", "aggregator"})

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return {**ACCEPTED, "preference": frozenset({"label"})}

    def denominator(self, step: Step) -> float:
        return float(judged(step).sum())

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return the loss, a scalar, and logs. Raises :class:`~tgframe.DataError` for labels other than 0 and 1."""
        nll, good = -log_likelihoods(step), positive(step)
        bad = judged(step) & ~good
        unlikely = -step.aggregator.aggregate(log_complement(step.policy_logprobs), step.rollouts.mask)
        losses = torch.where(good, nll, self.weight * unlikely)
        logs = {
            **means(nll, {"nll_positive": good, "nll_negative": bad}),
            **means(unlikely, {"unlikelihood": bad}),
            **counts({"positives": good, "negatives": bad, "missing": step.rollouts.present & ~judged(step)}),
        }
        return reduced(losses, (good, bad), self.balance), logs


def log_complement(logprobs: Tensor) -> Tensor:
    """Return ``log(1 - p)`` for log-probabilities of any shape, float, in nats.

    Stable near both ends: ``log(-expm1(x))`` above one half, ``log1p(-exp(x))`` below. Where ``p`` is 1 to the last
    bit, the value is that of ``1 - CLOSEST`` and the gradient as steep as there: the token can still be unlearned.
    """
    below = torch.where(logprobs > -CLOSEST, logprobs - (logprobs + CLOSEST).detach(), logprobs)
    near = torch.log(-torch.expm1(below))
    far = torch.log1p(-torch.exp(below))
    return torch.where(below > -math.log(2.0), near, far)
