"""From tokens to completions: implicit rewards and log-likelihoods, both through the recipe's aggregator."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tgframe import Aggregator, RecipeError, Step

ACCEPTED: Mapping[str, frozenset[str]] = {"aggregator": frozenset({"length:sum", "length:none"})}
"""What the objectives ask of an aggregator before a run; :func:`require_linear` asks the rest."""

PROBE = [[1.0, 0.0, 0.0], [2.0, 3.0, -7.0]]
SUMS, MEANS = [1.0, -2.0], [1.0, -2.0 / 3.0]


def rewards(step: Step) -> Tensor:
    """Return the implicit reward of each completion, float ``[B,K]``, with gradient where the guidance has one."""
    require_linear(step.aggregator, step.guidance.values)
    return step.aggregator.aggregate(step.guidance.values, step.guidance.mask)


def log_likelihoods(step: Step) -> Tensor:
    """Return the log-probability of each completion under the policy, float ``[B,K]``: its tokens, aggregated."""
    require_linear(step.aggregator, step.policy_logprobs)
    return step.aggregator.aggregate(step.policy_logprobs, step.rollouts.mask)


@torch.no_grad()
def require_linear(aggregator: Aggregator, like: Tensor) -> None:
    """Raise :class:`~tgframe.RecipeError` unless the aggregator is the sum or the plain mean of a completion's values.

    Log-probabilities add up over tokens; any other aggregate is no log-probability. Capabilities cannot tell a plain
    mean from one that is scaled by the lengths in the group or leans to the extreme, so two completions of one and
    three tokens are aggregated, on the device of ``like``.
    """
    values = like.new_tensor([PROBE])
    mask = values.new_tensor([[[1, 0, 0], [1, 1, 1]]]).bool()
    found = aggregator.aggregate(values, mask)[0].to(values)
    if not any(torch.allclose(found, values.new_tensor(right), atol=1e-3) for right in (SUMS, MEANS)):
        raise RecipeError(
            "`aggregator` must be the sum or the plain mean of token values, because log-probabilities add up over "
            f"tokens, but is {aggregator!r} instead. Write `aggregator: {{type: sum}}` or "
            "`aggregator: {type: mean, length: none}`."
        )
