"""A baseline without any model: the best prompt so far, improved one token at a time, for the same number of calls."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tgframe_prompts.equal_calls import EqualCalls

_STARTS = 32  # uniform prompts of which the best is improved, but at most a quarter of the budget
_TRIALS = 16  # tokens that are tried at one place before the next place's turn


class GreedySearch(EqualCalls):
    """Coordinate search: tries uniform tokens at one place after another, and keeps the best where it is better.

    All prompts are judged on the same texts, so that a better score is a better prompt on them.
    """

    best: str | None = None
    """The best prompt on train so far; None before the first judgment."""
    score = float("-inf")
    """Its preference there."""
    _place = -1
    _index: Tensor | None = None

    def texts(self) -> Tensor:
        if self._index is None:
            self._index = super().texts()
        return self._index

    def propose(self, room: int) -> list[str]:
        if self.best is None:
            return self.draw(max(1, min(_STARTS, room // 4)))
        count = min(_TRIALS, room)
        return self._edits(self.tokens_of[self.best], count) or self.draw(count)

    def learn(self, prompts: Sequence[str], scores: Tensor) -> None:
        place = int(scores.argmax())
        if float(scores[place]) > self.score:
            self.best, self.score = prompts[place], float(scores[place])

    def _edits(self, prompt: Tensor, count: int) -> list[str]:
        """Return up to ``count`` new prompts that differ from ``prompt`` at the place whose turn it is."""
        self._place = (self._place + 1) % len(prompt)
        edits = prompt.repeat(count, 1)
        edits[:, self._place] = self.tokens[torch.randint(len(self.tokens), (count,), generator=self.generator)]
        return self.fresh(edits)
