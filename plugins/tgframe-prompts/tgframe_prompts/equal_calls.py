"""Searches that a run is compared with: whatever they try, they spend as many calls as the run, to the text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe_prompts.judge import Judge
from tgframe_prompts.reading import DEV, TRAIN
from tgframe_prompts.vocabulary import decode, uniform

if TYPE_CHECKING:
    from tgframe_prompts.prompt_task import PromptTask

_FRUITLESS = 32  # draws without a new prompt after which there are none left


class EqualCalls(ABC):
    """Judges prompts on train, with a memory of its own, until what is left of the budget is needed for dev."""

    def __init__(self, task: PromptTask, tokenizer: Any, tokens: Tensor, generator: torch.Generator) -> None:
        self.task = task
        self.tokenizer = tokenizer
        self.tokens = tokens
        self.generator = generator
        self.judge = Judge(task.scorer)
        self.prompts: list[str] = []
        """What was judged on all the train texts that a judgment sees."""
        self.tokens_of: dict[str, Tensor] = {}
        """int64 ``[L]`` of every prompt that was proposed."""

    @abstractmethod
    def propose(self, room: int) -> list[str]:
        """Return at most ``room`` (at least 1) prompts that were not proposed before; none when there are none left."""

    def learn(self, prompts: Sequence[str], scores: Tensor) -> None:
        """Hear of the preference on train, float32 ``[P]``, of what was proposed."""
        return None

    def texts(self) -> Tensor:
        """Return int64 ``[N]``, the train texts of the next judgments: as many as the run's own judgments see."""
        train = self.task.examples(TRAIN)
        if self.task.share == 1.0:
            return torch.arange(len(train))
        return train.balanced(self.task.share, self.generator)

    def run(self, calls: int, finalists: int) -> None:
        """Spend ``calls`` less the finals of ``finalists`` prompts.

        The calls that are too few for one more prompt are spent on it all the same, so that the budgets are equal to
        the text, but the prompt is no candidate: its score is of other texts.
        """
        index = self.texts()
        budget = calls - finalists * self._final_calls(len(index))
        while budget >= len(index):
            new = self.propose(budget // len(index))
            if not new:
                return
            self.learn(new, self.task.preference(self.judge, new, TRAIN, index))
            self.prompts += new
            budget -= len(new) * len(index)
            index = self.texts()
        if budget > 0:
            self.judge.logits(self.draw(1), TRAIN, index[:budget])

    def draw(self, count: int) -> list[str]:
        """Return up to ``count`` uniform prompts that were not proposed before."""
        found: list[str] = []
        fruitless = 0
        while len(found) < count and fruitless < _FRUITLESS:
            length = self.task.options.prompt_length
            new = self.fresh(uniform(self.tokens, count - len(found), length, self.generator))
            found += new
            fruitless = 0 if new else fruitless + 1
        return found

    def fresh(self, tokens: Tensor) -> list[str]:
        """Return the texts of the prompts ``[P,L]`` that were not proposed before, each once."""
        found = []
        for text, ids in zip(decode(self.tokenizer, tokens), tokens, strict=True):
            if text not in self.tokens_of:
                self.tokens_of[text] = ids
                found.append(text)
        return found

    def _final_calls(self, seen: int) -> int:
        """Return what one finalist costs on dev; calibration also reads the train texts it was not judged on."""
        unseen = len(self.task.examples(TRAIN)) - seen
        return len(self.task.examples(DEV)) + (unseen if self.task.options.calibrate == "mean-logit" else 0)
