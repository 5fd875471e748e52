"""REINFORCE with token guidance and maximum entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import ge, in_
from torch import Tensor

from tgframe import LMObjective, Step
from tgframe_tlg.objectives.policy_gradient import NEEDS, masked_mean, policy_gradient_loss
from tgframe_tlg.objectives.weights import Center, centred, normalized, to_go


@attrs.frozen
class ReinforceMaxent(LMObjective):
    """REINFORCE in which every token is weighted by its own guidance, with an entropy bonus.

    The paper's objective where there are no targets.
    """

    entropy: float = attrs.field(default=0.125, validator=ge(0.0))
    """Weight of the entropy bonus, per nat. Too small, and the policy collapses to one completion."""
    returns: Literal["token", "to-go"] = attrs.field(default="token", validator=in_(("token", "to-go")))
    """``token``: a token is weighted by its own value; ``to-go``: by the sum of the values from it to the end (the Q
    variant)."""
    center: Center = attrs.field(default="none", validator=in_(("none", "group", "position")))
    """Subtract the mean of the prompt's other completions: over all their tokens (``group``) or over those at the same
    position (``position``). Bounded values are all positive: uncentred, they mostly lower the entropy."""
    normalize: bool = False
    """Divide the weights by their standard deviation over the completions of the prompt."""

    def needs(self) -> frozenset[str]:
        return NEEDS | {"guidance"}

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        values, mask = step.guidance.values.detach(), step.guidance.mask
        weights, carriers = values, mask
        if self.returns == "to-go":
            weights, carriers = to_go(values, mask), step.rollouts.mask
        weights = centred(weights, carriers, self.center)
        if self.normalize:
            weights = normalized(weights, carriers)
        loss, logs = policy_gradient_loss(step, weights, self.entropy)
        return loss, {**logs, "value_mean": masked_mean(values, mask)}
