"""The preference `classification-gap` at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tgframe import ComponentError, Preferences, PreferenceSource
from tgframe_prompts.gap import Gap
from tgframe_prompts.prompt_task import PromptTask
from tgframe_prompts.reading import TRAIN

if TYPE_CHECKING:
    from torch import Tensor

    from tgframe import Context, Rollouts
    from tgframe_prompts.preference import ClassificationGap


class GapSource(PreferenceSource):
    """Judges prompts on the task's texts. The task keeps the judgments: a repeated prompt costs nothing."""

    def __init__(self, options: ClassificationGap, task: PromptTask, generator: torch.Generator) -> None:
        self.options = options
        self.task = task
        self.generator = generator
        task.gap = Gap(options.lambda_wrong, options.lambda_right)
        task.share = options.examples

    @classmethod
    def join(cls, options: ClassificationGap, context: Context) -> GapSource:
        """Join the run's task."""
        if not isinstance(context.task, PromptTask):
            raise ComponentError(
                "`preference: classification-gap` must go with `task: prompt-classification`, but the task is a "
                f"{type(context.task).__name__} instead. Use both together."
            )
        return cls(options, context.task, context.generator("preference"))

    def provides(self) -> frozenset[str]:
        return self.options.provides()

    @property
    def calls(self) -> int:
        """Texts sent through the classifier in search of a prompt, validation and finals included."""
        return self.task.search.calls

    def judge(self, rollouts: Rollouts) -> Preferences:
        split = rollouts.prompts.split
        texts = [text for group in rollouts.texts for text in group]
        scores = self.task.search_preference(texts, split, self._texts(split))
        values = scores.reshape(len(rollouts.prompts), rollouts.k)
        valid = torch.ones_like(values, dtype=torch.bool)
        if not self.options.zscore or split != TRAIN:  # validation compares groups: their means must not all be 0
            return Preferences(values=values, valid=valid)
        # 1e-4 as in RLPrompt: a group of equal prompts has no deviation.
        values = (values - values.mean(1, keepdim=True)) / (values.std(1, correction=0, keepdim=True) + 1e-4)
        return Preferences(values=values, valid=valid, kind="rank")

    def _texts(self, split: str) -> Tensor | None:
        if split != TRAIN or self.options.examples == 1.0:
            return None
        return self.task.examples(split).balanced(self.options.examples, self.generator)
