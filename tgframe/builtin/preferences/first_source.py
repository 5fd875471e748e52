"""The preference `first` at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe.builtin.preferences.composite import EXTRAS, kind_of
from tgframe.builtin.preferences.composite_source import CompositeSource
from tgframe.errors import ComponentError
from tgframe.interfaces.batch import Preferences

if TYPE_CHECKING:
    from tgframe.interfaces.batch import Rollouts


class FirstSource(CompositeSource):
    """Settles prompts one source after another."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Judge ``[B,K]`` completions, each group by one source; ``sources`` misses what a source was not asked."""
        wanted = rollouts.present.sum(-1)
        open_rows = list(range(len(wanted)))
        found = {name: self._silent(name, rollouts) for name in self.sources}
        for name in self.sources:
            if open_rows:
                said = self.ask(name, rollouts.rows(open_rows))
                found[name] = _put(said, open_rows, found[name])
                settled = (found[name].valid.sum(-1) >= wanted).tolist()
                open_rows = [row for row in open_rows if not settled[row]]
        return self._chosen(found)

    def _silent(self, name: str, rollouts: Rollouts) -> Preferences:
        """Return preferences without a judgment."""
        valid = torch.zeros_like(rollouts.present)
        return Preferences(valid.float(), valid, kind_of(self.options[name]))

    def _chosen(self, found: dict[str, Preferences]) -> Preferences:
        """Take every prompt's judgments from the source with the most of them, the first of several."""
        counts = torch.stack([said.valid.sum(-1) for said in found.values()]).T.tolist()
        chosen = [list(found.values())[row.index(max(row))] for row in counts]
        extras = {name: _rows(chosen, name) for name in self.composite.extras()}
        values, valid = _rows(chosen, "values"), _rows(chosen, "valid")
        return Preferences(values, valid, self.composite.kind(), **extras, sources=found)


def _put(said: Preferences, rows: Sequence[int], silent: Preferences) -> Preferences:
    """Return judgments of some prompts as judgments of all; those of the others are missing."""

    def wide(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        whole = tensor.new_zeros(len(silent.values), *tensor.shape[1:])
        whole[list(rows)] = tensor
        return whole

    tensors: dict[str, Any] = {name: wide(getattr(said, name)) for name in ("values", "valid", *EXTRAS)}
    missing = attrs.evolve(silent, sources={})
    return attrs.evolve(said, **tensors, sources={n: _put(each, rows, missing) for n, each in said.sources.items()})


def _rows(chosen: Sequence[Preferences], name: str) -> Tensor:
    """Return one field, each prompt's from its own source."""
    tensors = [getattr(said, name)[row] for row, said in enumerate(chosen)]
    if len({tensor.shape for tensor in tensors}) > 1:
        sizes = [list(tensor.shape) for tensor in tensors]
        raise ComponentError(f"its sources must give {name} of one shape, but give {sizes} instead.")
    return torch.stack(tensors)
