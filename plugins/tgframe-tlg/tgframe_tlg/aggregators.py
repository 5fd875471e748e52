"""Soft maximum and soft minimum over the tokens of a completion.

With ``r_t`` the values of the ``T`` marked tokens of a completion, ``beta`` the temperature, and ``L`` the mean of
``T`` over the completions of the same prompt that have any (1 with ``length: none``)::

    soft-max    beta * log sum_t exp(r_t / beta) * L        lme-max    beta * log mean_t exp(r_t / beta) * L
    soft-min   -beta * log sum_t exp(-r_t / beta) * L       lme-min   -beta * log mean_t exp(-r_t / beta) * L

The two on the left are those of the paper; they move by ``beta * log T * L`` when a completion grows. The two on the
right do not.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs
import torch
from attrs.validators import gt, in_
from torch import Tensor

from tgframe import Aggregator


@attrs.frozen
class SoftAggregator(Aggregator):
    """What the four have in common."""

    temperature: float = attrs.field(default=2.0, validator=gt(0.0))
    """Beta, in the units of the values: near 0 only the extreme token counts, large values approach the plain mean."""
    length: Literal["group", "none"] = attrs.field(default="group", validator=in_(("group", "none")))
    """``group`` multiplies by the mean length of the prompt's completions, which gives bounded values the magnitude of
    a sum without rewarding a completion for its own length; ``none`` leaves that out."""

    sign: ClassVar[float] = 1.0
    """+1 leans towards the largest value, -1 towards the smallest."""
    mean: ClassVar[bool] = False
    """Whether the exponentials are averaged instead of summed."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        scale = self.sign * self.temperature
        lengths = mask.sum(-1)
        soft = _masked_logsumexp(values / scale, mask)
        if self.mean:
            soft = soft - lengths.clamp(min=1).to(soft.dtype).log()
        soft = torch.where(lengths > 0, scale * soft, 0.0)
        if self.length == "none":
            return soft
        present = (lengths > 0).sum(-1, keepdim=True).clamp_min(1)
        return soft * (lengths.sum(-1, keepdim=True) / present)

    def length_effect(self) -> Literal["none", "biased"]:
        return "none" if self.mean else "biased"


@attrs.frozen
class SoftMax(SoftAggregator):
    """Soft maximum, log-sum-exp, as in the paper: one good token can carry a text. Favours long completions."""


@attrs.frozen
class SoftMin(SoftAggregator):
    """Soft minimum, log-sum-exp, as in the paper: one bad token can spoil a text. Favours short completions."""

    sign: ClassVar[float] = -1.0


@attrs.frozen
class LmeMax(SoftAggregator):
    """Soft maximum, log-mean-exp: as ``soft-max``, free of its length bias."""

    mean: ClassVar[bool] = True


@attrs.frozen
class LmeMin(SoftAggregator):
    """Soft minimum, log-mean-exp: as ``soft-min``, free of its length bias."""

    sign: ClassVar[float] = -1.0
    mean: ClassVar[bool] = True


def _masked_logsumexp(values: Tensor, mask: Tensor) -> Tensor:
    """Return ``[B,K]`` from ``[B,K,T]``: log of the sum of exponentials where ``mask`` is True; 0 where it never is."""
    nothing = ~mask.any(-1, keepdim=True)
    # A row of nothing but -inf has a gradient of NaN, even where its result is thrown away.
    return torch.where(mask, values, torch.where(nothing, 0.0, -torch.inf)).logsumexp(-1)
