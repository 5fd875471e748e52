"""Maximum likelihood of the targets, each token weighted by its share of what the guidance gives the target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import ge, gt, in_
from torch import Tensor

from tgframe import Guidance, LMObjective, RecipeError, Step
from tgframe_tlg.objectives.likelihood import mean_of_sequences
from tgframe_tlg.objectives.policy_gradient import masked_mean
from tgframe_tlg.objectives.shares import effective_share, relative_shares, scaled_exponentials, share_entropy
from tgframe_tlg.objectives.weights import to_go


@attrs.frozen
class RewardWeightedMLE(LMObjective):
    """Maximum likelihood of the targets, each token weighted by its share of the target's guidance.

    The paper's objective where there are targets. The weights of a target sum to 1, and a batch is the mean over its
    targets: guidance that is the same everywhere gives the loss of ``mle``, to the last bit. Two terms on completions
    that the policy samples can be added; without them nothing is sampled to improve.
    """

    returns: Literal["token", "to-go"] = attrs.field(default="token", validator=in_(("token", "to-go")))
    """``token``: a token is weighted by its own value; ``to-go``: by the sum of the values from it to the end (the Q
    variant). Holds for ``reinforce``, too."""
    weight: Literal["value", "exp"] = attrs.field(default="value", validator=in_(("value", "exp")))
    """What is summed and divided: the values themselves, which must not be negative then, or their exponentials."""
    temperature: float = attrs.field(default=1.0, validator=gt(0.0))
    """Values are divided by it before ``weight: exp`` takes their exponentials: small, and the best token of a target
    has all the weight; large, and all tokens have the same."""
    reinforce: float = attrs.field(default=0.0, validator=ge(0.0))
    """Weight of a REINFORCE term on sampled completions: the mean over their tokens of value times negative
    log-likelihood. Above 0, completions are sampled in every step."""
    entropy: float = attrs.field(default=0.0, validator=ge(0.0))
    """Weight of an entropy bonus on sampled completions, per nat. Above 0, completions are sampled in every step."""

    def __attrs_post_init__(self) -> None:
        if self.temperature != 1.0 and self.weight != "exp":
            raise ValueError(f"`temperature` must be 1.0 with `weight: {self.weight}`, but is {self.temperature!r}.")

    def needs(self) -> frozenset[str]:
        needs = {"targets", "targets.guidance", "targets.policy_logprobs"}
        if self.reinforce:
            needs |= {"guidance", "policy_logprobs"}
        if self.entropy:
            needs |= {"policy_entropy"}
        return frozenset(needs)

    def denominator(self, step: Step) -> float:
        """Return how many targets there are. The terms on sampled completions are means over tokens, and those of a
        divided step are put together in the same proportion."""
        return float(step.targets.guidance.mask.any(-1).sum())

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        targets = step.targets
        weights, carriers = self._weights(targets.guidance, targets.rollouts.mask)
        nll, real = -targets.policy_logprobs, targets.rollouts.mask
        loss = weighted = mean_of_sequences(weights.to(nll.dtype) * nll, carriers)
        logs = {
            "weighted_nll": weighted,
            "nll": mean_of_sequences(nll, real),
            **self._described(weights, carriers),
            "value_mean": masked_mean(targets.guidance.values, targets.guidance.mask),
        }
        if self.reinforce:
            logs["reinforce_loss"] = term = self._reinforce(step)
            loss = loss + self.reinforce * term
        if self.entropy:
            logs["entropy"] = bonus = masked_mean(step.policy_entropy, step.rollouts.mask)
            loss = loss - self.entropy * bonus
        return loss, {name: value.detach() for name, value in logs.items()}

    def _weights(self, guidance: Guidance, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return float64 weights ``[B,K,T]``, 1 in the mean over each target, and the tokens that have one."""
        values, mask = guidance.values.detach().float(), guidance.mask
        if self.weight == "exp":
            values = scaled_exponentials(values, mask, self.temperature)
        elif ((values < 0) & mask).any():
            raise RecipeError(
                "`objective.weight` must be 'exp' where values can be negative, because a share of their sum means "
                f"nothing then, but is {self.weight!r}, and the guidance gives {float(values[mask].min()):.4g}. "
                "Set `objective.weight=exp`, or choose a guidance whose values are positive."
            )
        if self.returns == "to-go":
            values, mask = to_go(values.double(), mask), real & mask.any(-1, keepdim=True)
        return relative_shares(values, mask), mask

    def _described(self, weights: Tensor, carriers: Tensor) -> dict[str, Tensor]:
        """Return the mean over targets of what says how far the weights are from uniform ones."""
        valued = carriers.any(-1)
        return {
            "weight_ess": masked_mean(effective_share(weights, carriers), valued),
            "weight_entropy": masked_mean(share_entropy(weights, carriers), valued),
        }

    def _reinforce(self, step: Step) -> Tensor:
        """Return the mean over all sampled tokens of weight times negative log-likelihood."""
        values, mask, real = step.guidance.values.detach(), step.guidance.mask, step.rollouts.mask
        returns = to_go(values, mask) if self.returns == "to-go" else values.masked_fill(~mask, 0.0)
        return masked_mean(returns * -step.policy_logprobs, real)
