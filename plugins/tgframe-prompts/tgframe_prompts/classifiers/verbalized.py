"""What masked and causal classifiers share: classes are single tokens, read at one position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from tgframe_prompts.classifiers.head import PositionHead
from tgframe_prompts.classifiers.loading import pad_id
from tgframe_prompts.classifiers.model import ClassifierModel
from tgframe_prompts.classifiers.words import single_tokens


class VerbalizedLM(ClassifierModel):
    """A language model with verbalisers of one token each."""

    head: PositionHead

    def __init__(self, model: Any, tokenizer: Any, max_length: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.pad_id = pad_id(tokenizer)

    def verbalize(self, words: Mapping[str, str]) -> None:
        self.classes = len(words)
        self.head = PositionHead(self.model, single_tokens(self.tokenizer, words))

    def logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        return self.head.logits(ids, mask, positions)
