"""A task of a few sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tgframe.errors import DataError
from tgframe.interfaces.task import Evaluation, Task
from tgframe.testing.fakes.rollouts import make_prompts

if TYPE_CHECKING:
    import torch

    from tgframe.interfaces.batch import Prompts
    from tgframe.interfaces.policy import Policy
    from tgframe.interfaces.sampler import Sampler

SPLITS = ("train", "dev", "test")


@attrs.frozen
class FakeTask(Task):
    """Asks for nothing in particular; its accuracy is always one half."""

    texts: tuple[str, ...] = ("First:", "Second prompt:", "3:")
    """The prompts, the same in every split, in this order however often one asks."""

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        _check(split)
        named = make_prompts(self.texts)
        rows = [row % len(self.texts) for row in range(len(self.texts) if count is None else count)]
        return policy.encode([self.texts[row] for row in rows], [named.ids[row] for row in rows], split=split)

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        _check(split)
        return Evaluation({"accuracy": 0.5})


def _check(split: str) -> None:
    if split not in SPLITS:
        known = ", ".join(map(repr, SPLITS))
        raise DataError(f"`split` must be one of {known}, but is {split!r} instead. Name one of those.")
