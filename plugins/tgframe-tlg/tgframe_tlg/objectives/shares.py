"""Self-normalised weights: what share of its sequence a token has."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_shares(numbers: Tensor, mask: Tensor) -> Tensor:
    """Return each marked token's share of the sum over its sequence, times the number of marked tokens: ``[B,K,T]``.

    Their mean over a sequence is 1, and they are 0 off the mask. ``numbers`` float ``[B,K,T]`` are not negative, and
    without gradient. Where all are equal, each result is 1 to the last bit; where all are 0, too, because then no token
    is worth more than another. Computed and returned in float64, in which the sum of equal float32 numbers is exact.
    """
    kept = torch.where(mask, numbers.double(), 0.0)
    mean = kept.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(mask & (mean == 0), 1.0, kept / mean.where(mean > 0, 1.0))


def scaled_exponentials(numbers: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Return ``exp(numbers / temperature)`` ``[B,K,T]`` over the largest of its sequence, so that nothing overflows."""
    largest = torch.where(mask, numbers, -torch.inf).amax(-1, keepdim=True)
    return torch.where(mask, (numbers - largest) / temperature, 0.0).exp()


def effective_share(relative: Tensor, mask: Tensor) -> Tensor:
    """Return ``[B,K]``, the effective sample size of the shares over the number of tokens: 1 where all are equal."""
    squares = torch.where(mask, relative, 0.0).square().sum(-1)
    return mask.sum(-1) / squares.clamp_min(torch.finfo(squares.dtype).tiny)


def share_entropy(relative: Tensor, mask: Tensor) -> Tensor:
    """Return ``[B,K]``, the entropy of the shares in nats: the log of the number of tokens where all are equal."""
    shares = torch.where(mask, relative, 0.0) / mask.sum(-1, keepdim=True).clamp(min=1)
    terms: Tensor = torch.special.entr(shares)
    return terms.sum(-1)
