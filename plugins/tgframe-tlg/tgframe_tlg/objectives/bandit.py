"""REINFORCE with the true preference: the baseline without token guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import ge, in_
from torch import Tensor

from tgframe import Step
from tgframe_tlg.objectives.policy_gradient import PolicyGradient, log_ratios, masked_mean, policy_gradient_loss
from tgframe_tlg.objectives.weights import centred, normalized


@attrs.frozen
class Bandit(PolicyGradient):
    """REINFORCE in which every token of a completion is weighted by the completion's true preference.

    A completion whose judgment is missing counts for the entropy bonus only.

    With ``{entropy: 0, center: group, normalize: false, kl: BETA}`` this is RLOO (Ahmadian et al. 2024, Back to
    Basics), with the reward and the leave-one-out baseline of TRL's ``RLOOTrainer`` at ``beta=BETA`` and one update for
    each batch of completions, where its clipping does nothing. Two things differ. The loss here is a mean over tokens,
    there a mean over completions of sums over tokens: the gradient here is smaller by the mean length of the batch's
    completions, which Adam does not notice, but clipping does. And ``normalize`` divides by the standard deviation
    within each prompt, where ``normalize_advantages`` centres and divides over the whole batch.
    """

    center: Literal["none", "group"] = attrs.field(default="group", validator=in_(("none", "group")))
    """``group`` subtracts the mean preference of the prompt's other completions."""
    normalize: bool = True
    """Divide by the standard deviation of the preference over the completions of the prompt, so that ``entropy`` means
    the same whatever the scale of the preference."""
    kl: float = attrs.field(default=0.0, validator=ge(0.0))
    """Price of divergence from the recipe's reference, in units of preference per nat: ``kl`` times the log-ratio of
    policy and reference, summed over the completion, is taken from its preference before that is centred. Above 0, the
    recipe needs a section ``reference``."""

    def needs(self) -> frozenset[str]:
        return super().needs() | ({"preferences", "reference_logprobs"} if self.kl else {"preferences"})

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        preferences, real = step.preferences, step.rollouts.mask
        worth, logs = preferences.values, {"preference_mean": masked_mean(preferences.values, preferences.valid)}
        if self.kl:
            ratios = log_ratios(step)
            worth = worth - self.kl * ratios.sum(-1)
            logs["kl"] = masked_mean(ratios, real)
        valid = (preferences.valid & real.any(-1)).unsqueeze(-1)
        weights = centred(worth.unsqueeze(-1), valid, self.center)
        if self.normalize:
            weights = normalized(weights, valid)
        loss, parts = policy_gradient_loss(step, weights.expand(real.shape), self.entropy)
        return loss, {**parts, **logs}
