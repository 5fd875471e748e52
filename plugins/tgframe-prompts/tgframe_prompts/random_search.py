"""The baseline that every search has to beat: uniform prompts, for the same number of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe_prompts.judge import Judge
from tgframe_prompts.reading import DEV, TRAIN
from tgframe_prompts.vocabulary import random_prompts

if TYPE_CHECKING:
    from tgframe_prompts.prompt_task import PromptTask

_AT_ONCE = 256
_FRUITLESS = 32  # draws without a new prompt after which there are none left


class RandomSearch:
    """Judges uniform prompts on train, with a memory of its own, until what is left of the budget is needed for dev."""

    def __init__(self, task: PromptTask, tokenizer: Any, tokens: Tensor, generator: torch.Generator) -> None:
        self.task = task
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.generator = generator
        self.judge = Judge(task.scorer)
        self.prompts: list[str] = []
        """What was judged on all the train texts that a judgment sees."""
        self._seen: set[str] = set()

    def run(self, calls: int, finalists: int) -> None:
        """Spend ``calls`` less the finals of ``finalists`` prompts.

        The calls that are too few for one more prompt are spent on it all the same, so that the budgets are equal to
        the text, but the prompt is no candidate: its score is of other texts.
        """
        index = self._texts()
        budget = calls - finalists * self._final_calls(len(index))
        while budget >= len(index):
            new = self._draw(min(_AT_ONCE, budget // len(index)))
            if not new:
                return
            self.task.preference(self.judge, new, TRAIN, index)
            self.prompts += new
            budget -= len(new) * len(index)
            index = self._texts()
        if budget > 0:
            self.judge.logits(self._draw(1), TRAIN, index[:budget])

    def _texts(self) -> Tensor:
        """Return the train texts of the next judgments: as many as the run's own judgments see."""
        train = self.task.examples(TRAIN)
        if self.task.share == 1.0:
            return torch.arange(len(train))
        return train.balanced(self.task.share, self.generator)

    def _final_calls(self, seen: int) -> int:
        """Return what one finalist costs on dev; calibration also reads the train texts it was not judged on."""
        unseen = len(self.task.examples(TRAIN)) - seen
        return len(self.task.examples(DEV)) + (unseen if self.task.options.calibrate == "mean-logit" else 0)

    def _draw(self, count: int) -> list[str]:
        """Return up to ``count`` prompts that were not drawn before."""
        found: list[str] = []
        fruitless = 0
        while len(found) < count and fruitless < _FRUITLESS:
            length = self.task.options.prompt_length
            drawn = random_prompts(self.tokenizer, self.tokens, count - len(found), length, self.generator)
            new = [prompt for prompt in dict.fromkeys(drawn) if prompt not in self._seen]
            self._seen.update(new)
            found += new
            fruitless = 0 if new else fruitless + 1
        return found
