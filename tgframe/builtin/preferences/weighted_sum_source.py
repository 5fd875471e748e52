"""The preference `weighted-sum` at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tgframe.builtin.preferences.composite_source import CompositeSource
from tgframe.interfaces.batch import Preferences

if TYPE_CHECKING:
    from tgframe.builtin.preferences.weighted_sum import WeightedSum
    from tgframe.interfaces.batch import Rollouts
    from tgframe.interfaces.context import Context


class WeightedSumSource(CompositeSource):
    """Adds judgments of ``N`` sources, in float64."""

    def __init__(self, options: WeightedSum, context: Context) -> None:
        super().__init__(options, context)
        self.scale, self.missing, self.kind = options.scale, options.missing, options.kind()
        weights = options.weights or dict.fromkeys(options.sources, 1.0)
        self.weights = torch.tensor([weights[name] for name in options.sources], dtype=torch.float64)

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Judge ``[B,K]`` completions by all sources together."""
        found = {name: self.ask(name, rollouts) for name in self.sources}
        values = torch.stack([said.values.double() for said in found.values()], -1)
        valid = torch.stack([said.valid for said in found.values()], -1)
        if self.missing == "any":
            valid = valid.all(-1, keepdim=True).expand_as(valid)
        weights = self.weights.to(values.device)
        share = (weights.abs() * valid).sum(-1)
        total = (self._scaled(values, valid).masked_fill(~valid, 0.0) * weights).sum(-1)
        whole = total * weights.abs().sum() / share.where(share > 0, torch.ones_like(share))
        return Preferences(whole.float(), share > 0, self.kind, sources=found)

    def _scaled(self, values: Tensor, valid: Tensor) -> Tensor:
        if self.scale == "none":
            return values
        return deviations(values, valid) if self.scale == "group" else shares(values, valid)


def deviations(values: Tensor, valid: Tensor) -> Tensor:
    """Return z-scores over the completions, float64 ``[B,K,N]``; 0 where all valid values are equal."""
    count = valid.sum(1, keepdim=True).clamp_min(1)
    mean = values.masked_fill(~valid, 0.0).sum(1, keepdim=True) / count
    centred = (values - mean).masked_fill(~valid, 0.0)
    deviation = (centred.square().sum(1, keepdim=True) / count).sqrt()
    highest = values.masked_fill(~valid, -torch.inf).amax(1, keepdim=True)
    # The spread, not the deviation: the mean of equal numbers may differ from them by a rounding.
    spread = highest > values.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    return torch.where(spread, centred / deviation, 0.0)


def shares(values: Tensor, valid: Tensor) -> Tensor:
    """Return which share of the other valid completions each one beats, float64 ``[B,K,N]``; 0.5 without others."""
    one, other = values.unsqueeze(2), values.unsqueeze(1)
    beaten = (one > other).double() + 0.5 * (one == other).double()
    itself = torch.eye(values.shape[1], dtype=torch.bool, device=values.device)[None, :, :, None]
    others = valid.unsqueeze(1) & ~itself
    count = others.sum(2)
    return torch.where(count > 0, (beaten * others).sum(2) / count.clamp_min(1), 0.5)
