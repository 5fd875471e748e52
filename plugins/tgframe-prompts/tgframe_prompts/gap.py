"""How surely a classifier picks the right class: the gap to the runner-up, and the preference made of it."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor


def gaps(logits: Tensor, labels: Tensor) -> Tensor:
    """Return float32 ``[P,N]``, P(right class) minus the largest other P, in (-1, 1), from logits ``[P,N,C]``.

    The right class is taken out by its index: another class with an equal probability stays in. NaN stays NaN.
    """
    probabilities = logits.float().softmax(-1)
    index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    right = probabilities.gather(-1, index).squeeze(-1)
    return right - probabilities.scatter(-1, index, float("-inf")).amax(-1)


@attrs.frozen
class Gap:
    """The classification-gap preference: each gap weighted by whether the class is right, then the mean over texts.

    R = mean_i g_i * (right if g_i > 0 else wrong), in (-wrong, right): the reward of RLPrompt that the paper ranks by.
    """

    wrong: float = 180.0
    right: float = 200.0

    def scores(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return float32 ``[P]`` from logits ``[P,N,C]`` and int64 labels ``[N]``; texts with NaN are left out."""
        gap = gaps(logits, labels)
        return (gap * torch.where(gap > 0, self.right, self.wrong)).nanmean(-1)
