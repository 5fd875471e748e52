"""A plain causal language model: every parameter of it trained, or adapters alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from tgframe.policies.language_model import LanguageModel

if TYPE_CHECKING:
    import torch


@attrs.frozen
class Causal(LanguageModel):
    """A decoder-only language model (``AutoModelForCausalLM``), trained whole, or with ``lora`` its adapters alone.

    With ``lora``, checkpoints and the saved policy hold the adapters alone, and the vocabulary cannot grow.
    """

    def _load(self, name: str, dtype: torch.dtype) -> tuple[Any, Any]:
        from tgframe.runtime.pretrained import load_causal

        return load_causal(name, dtype)
