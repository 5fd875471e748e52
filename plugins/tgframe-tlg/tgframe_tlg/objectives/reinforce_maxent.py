"""REINFORCE with token guidance and maximum entropy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
import torch
from attrs.validators import ge, in_
from torch import Tensor

from tgframe import Step
from tgframe_tlg.objectives.policy_gradient import PolicyGradient, log_ratios, masked_mean, policy_gradient_loss
from tgframe_tlg.objectives.weights import Center, centred, normalized, to_go


@attrs.frozen
class ReinforceMaxent(PolicyGradient):
    """REINFORCE in which every token is weighted by its own guidance, with an entropy bonus.

    The paper's objective where there are no targets; ``kl`` is not the paper's.
    """

    returns: Literal["token", "to-go"] = attrs.field(default="token", validator=in_(("token", "to-go")))
    """``token``: a token is weighted by its own value; ``to-go``: by the sum of the values from it to the end (the Q
    variant)."""
    center: Center = attrs.field(default="none", validator=in_(("none", "group", "position")))
    """Subtract the mean of the prompt's other completions: over all their tokens (``group``) or over those at the same
    position (``position``). Bounded values are all positive: uncentred, they mostly lower the entropy."""
    normalize: bool = False
    """Divide the weights by their standard deviation over the completions of the prompt."""
    kl: float = attrs.field(default=0.0, validator=ge(0.0))
    """Price of divergence from the recipe's reference, in units of value per nat: ``kl`` times the log-ratio of policy
    and reference at a token is taken from that token's value, and from 0 where the guidance gives it none. It is part
    of the returns ``to-go``, and is centred with the values. Above 0, the recipe needs a section ``reference``."""

    def needs(self) -> frozenset[str]:
        return super().needs() | ({"guidance", "reference_logprobs"} if self.kl else {"guidance"})

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        values, mask, real = step.guidance.values.detach(), step.guidance.mask, step.rollouts.mask
        weights, carriers, logs = values, mask, {"value_mean": masked_mean(values, mask)}
        if self.kl:
            ratios = log_ratios(step)
            weights, carriers = torch.where(mask, values, 0.0) - self.kl * ratios, real
            logs["kl"] = masked_mean(ratios, real)
        if self.returns == "to-go":
            weights, carriers = to_go(weights, carriers), real
        weights = centred(weights, carriers, self.center)
        if self.normalize:
            weights = normalized(weights, carriers)
        loss, parts = policy_gradient_loss(step, weights, self.entropy)
        return loss, {**parts, **logs}
