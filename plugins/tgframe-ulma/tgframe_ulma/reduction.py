"""From losses of completions to the loss of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def reduced(losses: Tensor, classes: Sequence[Tensor], balance: bool) -> Tensor:
    """Return a scalar from losses float ``[B,K]`` and disjoint classes, each bool ``[B,K]``.

    The mean over all completions that are in a class; with ``balance`` the sum of the means of the classes, of which an
    empty one adds 0. Losses outside all classes are never read.
    """
    if balance:
        return torch.stack([mean_over(losses, members) for members in classes]).sum()
    return mean_over(losses, torch.stack(list(classes)).any(0))


def mean_over(numbers: Tensor, where: Tensor) -> Tensor:
    """Return the mean of the numbers where ``where`` is True, a scalar; 0, with a gradient of 0, where it never is."""
    return torch.where(where, numbers, 0.0).sum() / where.sum().clamp(min=1)
