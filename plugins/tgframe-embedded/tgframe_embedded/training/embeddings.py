"""Where the token embeddings start: at the co-occurrence statistics of the training text.

A small model that starts from noise spends its first thousand steps on learning which words go together. That much can
be counted: the leading singular vectors of the positive pointwise mutual information of neighbouring tokens
(Levy and Goldberg, 2014) are embeddings that already know it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

_WINDOW = 10
_SMOOTHING = 0.75


def start(documents: Iterable[list[int]], size: int, width: int, deviation: float = 0.05) -> Tensor:
    """Return embeddings, float32 [size, width] of the given standard deviation. Documents are lists of token ids."""
    counts = _counts(documents, size)
    u, s, _ = torch.svd_lowrank(_ppmi(counts), q=width, niter=4)
    found = u * s.sqrt()
    found = found / found.norm(dim=1, keepdim=True).clamp_min(1e-6)
    seldom = counts.sum(dim=1) < _WINDOW
    found[seldom] = torch.randn(int(seldom.sum()), width) / width**0.5
    scaled: Tensor = found * (deviation * width**0.5)
    return scaled


def _counts(documents: Iterable[list[int]], size: int) -> Tensor:
    """How often two tokens stand within _WINDOW of each other: symmetric, float32 [size, size]."""
    gap = np.full(_WINDOW, -1)
    stream = np.concatenate([np.concatenate([np.asarray(ids, dtype=np.int64), gap]) for ids in documents])
    counts = torch.zeros(size * size)
    for distance in range(1, _WINDOW + 1):
        left, right = stream[:-distance], stream[distance:]
        both = (left >= 0) & (right >= 0)
        cells = torch.from_numpy(left[both] * size + right[both])
        counts.index_add_(0, cells, torch.ones(len(cells)))
    square = counts.view(size, size)
    return square + square.T


def _ppmi(counts: Tensor) -> Tensor:
    total = counts.sum()
    row = counts.sum(dim=1, keepdim=True).clamp_min(1)
    context = row.T**_SMOOTHING
    context = context / context.sum() * total
    return (counts * total / (row * context)).log().clamp_min(0)
