"""REINFORCE with the true preference: the baseline without token guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import ge, in_
from torch import Tensor

from tgframe import LMObjective, Step
from tgframe_tlg.objectives.policy_gradient import NEEDS, masked_mean, policy_gradient_loss
from tgframe_tlg.objectives.weights import centred, normalized


@attrs.frozen
class Bandit(LMObjective):
    """REINFORCE in which every token of a completion is weighted by the completion's true preference.

    A completion whose judgment is missing counts for the entropy bonus only.
    """

    entropy: float = attrs.field(default=0.125, validator=ge(0.0))
    """Weight of the entropy bonus, per nat."""
    center: Literal["none", "group"] = attrs.field(default="group", validator=in_(("none", "group")))
    """``group`` subtracts the mean preference of the prompt's other completions."""
    normalize: bool = True
    """Divide by the standard deviation of the preference over the completions of the prompt, so that ``entropy`` means
    the same whatever the scale of the preference."""

    def needs(self) -> frozenset[str]:
        return NEEDS | {"preferences"}

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        preferences = step.preferences
        valid = (preferences.valid & step.rollouts.mask.any(-1)).unsqueeze(-1)
        weights = centred(preferences.values.unsqueeze(-1), valid, self.center)
        if self.normalize:
            weights = normalized(weights, valid)
        loss, logs = policy_gradient_loss(step, weights.expand(step.rollouts.mask.shape), self.entropy)
        return loss, {**logs, "preference_mean": masked_mean(preferences.values, preferences.valid)}
