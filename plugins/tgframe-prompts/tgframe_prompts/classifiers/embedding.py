"""Classes as the verbaliser whose embedding is nearest to the text's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tgframe import ModelError
from tgframe_prompts.batching import pad
from tgframe_prompts.classifiers.loading import load, longest, pad_id
from tgframe_prompts.classifiers.model import ClassifierModel
from tgframe_prompts.inputs import Frame, special_tokens
from tgframe_prompts.rows import encode

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_prompts.classifiers.options import Embedding
    from tgframe_prompts.template import Template


class EmbeddingClassifier(ClassifierModel):
    """A sentence encoder with verbalisers of any length."""

    anchors: Tensor
    """float32 ``[C,D]``: unit vectors of the verbalisers."""

    def __init__(self, model: Any, tokenizer: Any, max_length: int, options: Embedding) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.options = options
        self.pad_id = pad_id(tokenizer)

    @classmethod
    def load(cls, options: Embedding, context: Context) -> EmbeddingClassifier:
        """Load model and tokenizer."""
        model, tokenizer = load(context, options.model, "AutoModel")
        return cls(model, tokenizer, longest(model, tokenizer, options.max_length), options)

    @torch.inference_mode()
    def verbalize(self, words: Mapping[str, str]) -> None:
        _refuse_equal(words)
        prefix, suffix = special_tokens(self.tokenizer)
        rows = [[*prefix, *ids, *suffix] for ids in encode(self.tokenizer, list(words.values()))]
        ids, mask = pad(rows, self.pad_id)
        device = next(self.model.parameters()).device
        self.anchors = self._embed(ids.to(device), None if mask is None else mask.to(device))
        self.classes = len(words)

    def frame(self, template: Template) -> Frame:
        prefix, suffix = special_tokens(self.tokenizer)
        return Frame(self.tokenizer, "", prefix, suffix, self.max_length)

    def logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        return self.options.scale * self._embed(ids, mask) @ self.anchors.T

    def _embed(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        mask = torch.ones_like(ids) if mask is None else mask
        states: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.options.pooling == "first":
            return normalize(states[:, 0], dim=-1)
        return normalize((states * mask.unsqueeze(-1)).sum(1), dim=-1)


def _refuse_equal(words: Mapping[str, str]) -> None:
    owners: dict[str, str] = {}
    for label, word in words.items():
        if not word.strip():
            raise ModelError(
                f"The verbaliser of {label!r} must be a text, but is {word!r}. Write a word or a sentence."
            )
        if word.strip() in owners:
            raise ModelError(
                f"The verbaliser of {label!r} must differ from that of {owners[word.strip()]!r}, but both are "
                f"{word.strip()!r}. Change one of them in `task.verbalizers`."
            )
        owners[word.strip()] = label
