"""What stands beside the log-probability of each token: returns, centred, scaled."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tgframe import RecipeError

Center = Literal["none", "group", "position"]

EPSILON = 1e-4
"""Added to a standard deviation before dividing by it, as in a z-score of preferences."""


def to_go(values: Tensor, mask: Tensor) -> Tensor:
    """Return undiscounted returns ``[...,T]``: the sum of the marked values from each position to the end."""
    return torch.where(mask, values, 0.0).flip(-1).cumsum(-1).flip(-1)


def centred(values: Tensor, mask: Tensor, center: Center) -> Tensor:
    """Subtract from the values ``[B,K,T]`` of each completion the mean of the *other* completions of its prompt.

    ``group`` averages over all their marked tokens; ``position`` over those at the same position, and where no other
    completion is that long, over all. Leaving the completion itself out keeps the gradient unbiased: its baseline does
    not depend on what it wrote. The result is 0 off the mask, and for a completion that is the only one of its prompt
    with anything marked: there is nothing to compare it with.

    Raises :class:`~tgframe.RecipeError` when there is no other completion.
    """
    marked = torch.where(mask, values, 0.0)
    if center == "none":
        return marked
    if values.shape[1] < 2:
        raise RecipeError(
            "`schedule.improve.completions` must be >= 2 where the objective centres values over the completions of a "
            f"prompt, but is {values.shape[1]} instead. Draw more, or set `objective.center=none`."
        )
    baseline = _mean_of_others(marked.sum(-1, keepdim=True), mask.sum(-1, keepdim=True), marked)
    if center == "position":
        baseline = _mean_of_others(marked, mask.long(), baseline)
    return torch.where(mask, values - baseline, 0.0)


def normalized(weights: Tensor, mask: Tensor) -> Tensor:
    """Divide the weights ``[B,K,T]`` by their standard deviation over the marked tokens of their prompt."""
    count = mask.sum((1, 2), keepdim=True).clamp(min=1)
    mean = torch.where(mask, weights, 0.0).sum((1, 2), keepdim=True) / count
    variance = torch.where(mask, (weights - mean) ** 2, 0.0).sum((1, 2), keepdim=True) / count
    return weights / (variance.sqrt() + EPSILON)


def _mean_of_others(sums: Tensor, counts: Tensor, otherwise: Tensor) -> Tensor:
    """Return sum over count of the other completions (axis 1); ``otherwise`` where they have none."""
    others = sums.sum(1, keepdim=True) - sums
    count = counts.sum(1, keepdim=True) - counts
    return torch.where(count > 0, others / count.clamp(min=1), otherwise)
