"""What the objectives on targets share: means of negative log-likelihoods, sequence by sequence."""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_means(numbers: Tensor, mask: Tensor) -> Tensor:
    """Return ``[B,K]``: the mean of each sequence's numbers ``[B,K,T]`` where ``mask`` is True; 0 where it never is."""
    return torch.where(mask, numbers, 0.0).sum(-1) / mask.sum(-1).clamp(min=1)


def mean_of_sequences(numbers: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over sequences of their means, so that a long one counts as much as a short one.

    Sequences ``[B,K,T]`` in which ``mask`` is nowhere True are left out; 0 where all are.
    """
    return sequence_means(numbers, mask).sum() / mask.any(-1).sum().clamp(min=1)
