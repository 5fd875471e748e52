"""The loss that the objectives share: weighted negative log-likelihood less an entropy bonus."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tgframe import Step

NEEDS = frozenset({"policy_logprobs", "policy_entropy"})


def policy_gradient_loss(step: Step, weights: Tensor, entropy: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Return ``mean(w_t * NLL_t) - entropy * mean(H_t)`` over all real tokens, and its parts.

    ``weights`` float ``[B,K,T]`` carry no gradient, and are 0 where a token has no say. Log-probabilities and entropy
    are those of the untruncated distribution at temperature 1.
    """
    real = step.rollouts.mask
    nll = masked_mean(-step.policy_logprobs, real)
    bonus = masked_mean(step.policy_entropy, real)
    reinforce = masked_mean(weights.detach() * -step.policy_logprobs, real)
    logs = {"reinforce_loss": reinforce, "entropy": bonus, "nll": nll, **spread(weights, real)}
    return reinforce - entropy * bonus, {name: value.detach() for name, value in logs.items()}


def spread(weights: Tensor, mask: Tensor) -> Mapping[str, Tensor]:
    """Return mean and standard deviation of the weights where ``mask`` is True."""
    mean = masked_mean(weights, mask)
    return {"weight_mean": mean, "weight_std": masked_mean((weights - mean) ** 2, mask).sqrt()}


def masked_mean(numbers: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the numbers where ``mask`` is True; 0 where it never is."""
    return torch.where(mask, numbers, 0.0).sum() / mask.sum().clamp(min=1)
