"""Judged completions that are remembered: every judgment is paid once and learned from many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from tgframe.interfaces.batch import Preferences, Rollouts


@attrs.frozen(eq=False)
class Judged:
    """Completions with their judgments: what a grounding step learns from."""

    rollouts: Rollouts
    preferences: Preferences


@attrs.frozen(eq=False)
class Group:
    """Judged completions of one prompt: tokens int64 and mask bool ``[K,T]``, values float and valid bool ``[K]``."""

    tokens: Tensor
    mask: Tensor
    values: Tensor
    valid: Tensor
    texts: tuple[str, ...]

    def newest(self, count: int) -> Group:
        """Return the first ``count`` completions: new ones come first."""
        return Group(
            self.tokens[:count], self.mask[:count], self.values[:count], self.valid[:count], self.texts[:count]
        )


class Pool:
    """Remembers judged completions by prompt, and ranks new ones together with them.

    Values must compare over time (scores or labels, not ranks). Only values are remembered: features and segment values
    of earlier judgments are not there.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._groups: dict[str, Group] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return all that is remembered."""
        return {"groups": {prompt: attrs.asdict(group, recurse=False) for prompt, group in self._groups.items()}}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take over what :meth:`state_dict` returned; tensors go to ``device``."""

        def placed(value: Any) -> Any:
            return value.to(device) if isinstance(value, Tensor) else value

        groups = state["groups"].items()
        self._groups = {
            prompt: Group(**{key: placed(value) for key, value in group.items()}) for prompt, group in groups
        }

    def merged(self, fresh: Judged) -> Judged:
        """Return ``fresh`` with up to ``size`` remembered completions of each prompt behind it, and remember it.

        Groups of different size are filled up with absent completions, which are masked everywhere and not valid.
        """
        if self.size == 0 or fresh.preferences.kind == "rank":
            return fresh
        groups = []
        for row, prompt in enumerate(fresh.rollouts.prompts.ids):
            group = _row(fresh, row)
            known = self._groups.get(prompt)
            self._groups[prompt] = joined = group if known is None else _joined([group, known.newest(self.size)])
            groups.append(joined)
        return _stacked(fresh, groups)


def _row(judged: Judged, row: int) -> Group:
    rollouts, preferences = judged.rollouts, judged.preferences
    return Group(
        rollouts.tokens[row], rollouts.mask[row], preferences.values[row], preferences.valid[row], rollouts.texts[row]
    )


def _joined(groups: Sequence[Group]) -> Group:
    width = max(group.tokens.shape[1] for group in groups)
    return Group(
        torch.cat([_wide(group.tokens, width) for group in groups]),
        torch.cat([_wide(group.mask, width) for group in groups]),
        torch.cat([group.values for group in groups]),
        torch.cat([group.valid for group in groups]),
        tuple(text for group in groups for text in group.texts),
    )


def _wide(rows: Tensor, width: int) -> Tensor:
    """Pad ``[K,T]`` on the right to ``[K,width]`` with what counts as nothing."""
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]))


def _stacked(fresh: Judged, groups: Sequence[Group]) -> Judged:
    """Put the groups of all prompts side by side again, ``[B,K,T]``."""
    count = max(len(group.texts) for group in groups)
    width = max(group.tokens.shape[1] for group in groups)

    def tall(rows: Tensor) -> Tensor:
        missing = count - rows.shape[0]
        return torch.nn.functional.pad(rows, (0, 0, 0, missing) if rows.ndim == 2 else (0, missing))

    rollouts = Rollouts(
        fresh.rollouts.prompts,
        torch.stack([tall(_wide(group.tokens, width)) for group in groups]),
        torch.stack([tall(_wide(group.mask, width)) for group in groups]),
        tuple(group.texts + ("",) * (count - len(group.texts)) for group in groups),
        version=fresh.rollouts.version,
    )
    values = torch.stack([tall(group.values) for group in groups])
    valid = torch.stack([tall(group.valid) for group in groups])
    return Judged(rollouts, Preferences(values, valid, fresh.preferences.kind))
