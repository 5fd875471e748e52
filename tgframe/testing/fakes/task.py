"""A task of a few sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tgframe.interfaces.task import Evaluation, Task
from tgframe.testing.fakes.rollouts import make_prompts

if TYPE_CHECKING:
    import torch

    from tgframe.interfaces.batch import Prompts
    from tgframe.interfaces.policy import Policy
    from tgframe.interfaces.sampler import Sampler


@attrs.frozen
class FakeTask(Task):
    """Asks for nothing in particular; its accuracy is always one half."""

    texts: tuple[str, ...] = ("First:", "Second prompt:", "3:")
    """The prompts, the same in every split."""

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        texts = self.texts if count is None else [self.texts[row % len(self.texts)] for row in range(count)]
        named = make_prompts(texts)
        return policy.encode(texts, named.ids, split=split)

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        return Evaluation({"accuracy": 0.5})
