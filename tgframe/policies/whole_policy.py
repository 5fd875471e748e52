"""The working part behind :class:`tgframe.policies.causal.Causal` and :class:`tgframe.policies.seq2seq.Seq2Seq`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tgframe.interfaces.context import Runtime
from tgframe.policies.growing import add_tokens
from tgframe.policies.language_model_policy import PLAIN, LanguageModelPolicy
from tgframe.policies.passes import Passes
from tgframe.policies.storage import save_language_model


class WholePolicy(LanguageModelPolicy):
    """A language model, every parameter trained."""

    def __init__(self, model: Any, tokenizer: Any, runtime: Runtime, name: str, passes: Passes = PLAIN) -> None:
        super().__init__(model, tokenizer, runtime, name, passes)
        self.model = model
        self.eval()

    @property
    def language_model(self) -> Any:
        """The ``transformers`` model inside."""
        return self.model

    def add_tokens(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Add control tokens (see :meth:`tgframe.interfaces.policy.Policy.add_tokens`)."""
        return add_tokens(self.model, self.tokenizer, tokens)

    def trainable(self) -> Iterable[nn.Parameter]:
        """All parameters of the model."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer, loadable with ``from_pretrained`` of ``AutoModelForCausalLM``, or of
        ``AutoModelForSeq2SeqLM`` where the model has an encoder."""
        with torch.no_grad():
            save_language_model(folder, self.model, self.tokenizer)
