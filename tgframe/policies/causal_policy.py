"""The working part behind :class:`tgframe.policies.causal.Causal`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tgframe.interfaces.context import Runtime
from tgframe.policies.decoder import DecoderPolicy
from tgframe.policies.growing import add_tokens
from tgframe.policies.head import logits_of
from tgframe.policies.storage import save_language_model


class CausalPolicy(DecoderPolicy):
    """A causal language model, every parameter trained."""

    def __init__(self, model: Any, tokenizer: Any, runtime: Runtime, name: str) -> None:
        super().__init__(model, tokenizer, runtime, name)
        self.model = model
        self.eval()

    @property
    def language_model(self) -> Any:
        """The ``transformers`` model inside."""
        return self.model

    def _logits(self, states: Tensor) -> Tensor:
        return logits_of(self.model, states)

    def add_tokens(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Add control tokens (see :meth:`tgframe.interfaces.policy.Policy.add_tokens`)."""
        return add_tokens(self.model, self.tokenizer, tokens)

    def trainable(self) -> Iterable[nn.Parameter]:
        """All parameters of the model."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def save_pretrained(self, folder: Path) -> None:
        """Write model and tokenizer, loadable with ``AutoModelForCausalLM.from_pretrained``."""
        with torch.no_grad():
            save_language_model(folder, self.model, self.tokenizer)
