"""What the objectives share: weighted negative log-likelihood less an entropy bonus, and ratios to a reference."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from attrs.validators import ge
from torch import Tensor

from tgframe import LMObjective, Step


@attrs.frozen
class PolicyGradient(LMObjective):
    """An objective that weights the log-probability of every token: its loss is a mean over all real tokens."""

    entropy: float = attrs.field(default=0.125, validator=ge(0.0))
    """Weight of the entropy bonus, per nat. Too small, and the policy collapses to one completion. With 0 the entropy
    is not computed, and not logged."""

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "policy_entropy"} if self.entropy else {"policy_logprobs"})

    def denominator(self, step: Step) -> float:
        return float(step.rollouts.mask.sum())


def policy_gradient_loss(step: Step, weights: Tensor, entropy: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Return ``mean(w_t * NLL_t) - entropy * mean(H_t)`` over all real tokens, and its parts.

    ``weights`` float ``[B,K,T]`` carry no gradient, and are 0 where a token has no say. Log-probabilities and entropy
    are those of the untruncated distribution at temperature 1; with ``entropy`` 0 the entropy is not read.
    """
    real = step.rollouts.mask
    loss = reinforce = masked_mean(weights.detach() * -step.policy_logprobs, real)
    logs = {"reinforce_loss": reinforce, "nll": masked_mean(-step.policy_logprobs, real), **spread(weights, real)}
    if entropy:
        logs["entropy"] = bonus = masked_mean(step.policy_entropy, real)
        loss = reinforce - entropy * bonus
    return loss, {name: value.detach() for name, value in logs.items()}


def log_ratios(step: Step) -> Tensor:
    """Return ``log pi - log reference`` of each token, float ``[B,K,T]``, nats, without gradient; 0 off the mask.

    Summed over a completion that the policy has drawn, it estimates the KL divergence without bias. Its own gradient is
    0 in the mean, which is why a penalty made of it needs none.
    """
    return torch.where(step.rollouts.mask, step.policy_logprobs.detach() - step.reference_logprobs, 0.0)


def spread(weights: Tensor, mask: Tensor) -> Mapping[str, Tensor]:
    """Return mean and standard deviation of the weights where ``mask`` is True."""
    mean = masked_mean(weights, mask)
    return {"weight_mean": mean, "weight_std": masked_mean((weights - mean) ** 2, mask).sqrt()}


def masked_mean(numbers: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the numbers where ``mask`` is True; 0 where it never is."""
    return torch.where(mask, numbers, 0.0).sum() / mask.sum().clamp(min=1)
