"""From tokens to completions: implicit rewards and log-likelihoods, both through the recipe's aggregator."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tgframe import Step

ACCEPTED: Mapping[str, frozenset[str]] = {"aggregator": frozenset({"linear"})}
"""What the objectives ask of an aggregator: log-probabilities add up over tokens, and no other aggregate is one."""


def rewards(step: Step) -> Tensor:
    """Return the implicit reward of each completion, float ``[B,K]``, with gradient where the guidance has one."""
    return step.aggregator.aggregate(step.guidance.values, step.guidance.mask)


def log_likelihoods(step: Step) -> Tensor:
    """Return the log-probability of each completion under the policy, float ``[B,K]``: its tokens, aggregated."""
    return step.aggregator.aggregate(step.policy_logprobs, step.rollouts.mask)
