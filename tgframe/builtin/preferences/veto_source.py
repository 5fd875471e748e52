"""The preference `veto` at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe.builtin.preferences.composite_source import CompositeSource
from tgframe.interfaces.batch import Preferences

if TYPE_CHECKING:
    from tgframe.builtin.preferences.veto import Veto
    from tgframe.interfaces.batch import Rollouts
    from tgframe.interfaces.context import Context


class VetoSource(CompositeSource):
    """Judges by one source, vetoes by another."""

    def __init__(self, options: Veto, context: Context) -> None:
        super().__init__(options, context)
        self.below, self.value = options.below, options.value

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Judge ``[B,K]`` completions; all vetoed ones of a prompt tie."""
        found = {name: self.ask(name, rollouts) for name in self.sources}
        source, by = found["source"], found["by"]
        valid = source.valid & by.valid
        worst = _under(source.values, valid) if self.value is None else torch.full_like(source.values, self.value)
        values = torch.where(by.values < self.below, worst, source.values).masked_fill(~valid, 0.0)
        return Preferences(values, valid, self.composite.kind(), **self._extras(found), sources=found)

    def _extras(self, found: dict[str, Preferences]) -> dict[str, Any]:
        """Return what exactly one of the two promises, from that one."""
        return {
            extra: getattr(said, extra)
            for name, said in found.items()
            for extra in self.composite.extras() & self.options[name].provides()
        }


def _under(values: Tensor, valid: Tensor) -> Tensor:
    """Return one less than the lowest valid value of each group, ``[B,K]``."""
    lowest = values.masked_fill(~valid, torch.inf).amin(1, keepdim=True)
    # Of large numbers one less may be the same number.
    under = torch.minimum(lowest - 1.0, torch.nextafter(lowest, torch.full_like(lowest, -torch.inf)))
    return under.expand_as(values)
