"""REINFORCE with the aggregated guidance at the last token: the baseline whose guidance is not dense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import in_
from torch import Tensor

from tgframe import Step
from tgframe_tlg.objectives.policy_gradient import PolicyGradient, masked_mean, policy_gradient_loss
from tgframe_tlg.objectives.weights import centred, normalized


@attrs.frozen
class Sparse(PolicyGradient):
    """REINFORCE in which the aggregated guidance of a completion is one reward at its last token.

    The return from every token to the end is then that one number: it weights all tokens of the completion alike.
    """

    center: Literal["none", "group"] = attrs.field(default="none", validator=in_(("none", "group")))
    """``group`` subtracts the mean aggregate of the prompt's other completions."""
    normalize: bool = False
    """Divide by the standard deviation of the aggregates over the completions of the prompt."""

    def needs(self) -> frozenset[str]:
        return super().needs() | {"guidance", "aggregator"}

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        guidance = step.guidance
        rewards = step.aggregator.aggregate(guidance.values.detach(), guidance.mask)
        valued = guidance.mask.any(-1, keepdim=True)
        weights = centred(rewards.unsqueeze(-1), valued, self.center)
        if self.normalize:
            weights = normalized(weights, valued)
        loss, logs = policy_gradient_loss(step, weights.expand(guidance.mask.shape), self.entropy)
        return loss, {
            **logs,
            "value_mean": masked_mean(guidance.values.detach(), guidance.mask),
            "reward_mean": masked_mean(rewards, valued.squeeze(-1)),
        }
