"""A source that says what tests have written down, and a way to ask sources that are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch

from tgframe import Preferences, PreferenceSource, Rollouts
from tgframe.testing import make_context, make_rollouts


@attrs.frozen
class Said(PreferenceSource):
    """Says what is written down by text, and remembers of which prompts."""

    said: Mapping[str, Any] = attrs.field(factory=dict)
    kind: str = "score"
    extras: Mapping[str, Any] = attrs.field(factory=dict)
    promised: frozenset[str] = frozenset()
    asked: list[tuple[str, ...]] = attrs.field(factory=list)

    def provides(self) -> frozenset[str]:
        return frozenset({self.kind}) | self.extras.keys() | self.promised

    def judge(self, rollouts: Rollouts) -> Preferences:
        self.asked.append(rollouts.prompts.ids)
        groups = [[self.said.get(text) for text in group] for group in rollouts.texts]
        extras = {name: torch.full(rollouts.mask.shape[:2], value) for name, value in self.extras.items()}
        return attrs.evolve(Preferences.from_scores(groups, self.kind), **extras)  # type: ignore[arg-type]


def of(texts: str, **numbers: Any) -> Said:
    """Return a source: ``of("ab", a=1.0)`` says 1 of a and nothing of b."""
    return Said({text: numbers.get(text) for text in texts})


def judge(composite: Any, *groups: str) -> Preferences:
    """Judge groups of completions of one letter each; ``.`` is an absent one."""
    rollouts = make_rollouts([list(group) for group in groups])
    mask = rollouts.mask & torch.tensor([[text != "." for text in group] for group in groups]).unsqueeze(-1)
    return composite.build(make_context()).judge(attrs.evolve(rollouts, mask=mask))  # type: ignore[no-any-return]


def shown(found: Preferences) -> list[list[float | None]]:
    rows = zip(found.values.tolist(), found.valid.tolist(), strict=True)
    return [[round(value, 4) if valid else None for value, valid in zip(*row, strict=True)] for row in rows]


FOUR = of("abcd", a=1.0, b=2.0, c=3.0, d=6.0)
TIED = of("abcd", a=5.0, b=5.0, c=5.0, d=5.0)
SOME = of("abcd", a=10.0, b=20.0)
