"""An encoder-decoder language model: every parameter of it trained, or adapters alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from tgframe.policies.language_model import LanguageModel

if TYPE_CHECKING:
    import torch


@attrs.frozen
class Seq2Seq(LanguageModel):
    """An encoder-decoder language model (``AutoModelForSeq2SeqLM``: T5, BART, Pegasus, an ``EncoderDecoderModel`` made
    of two encoders, …), trained whole, or with ``lora`` its adapters alone.

    The encoder reads a prompt once for all its completions. With ``lora``, checkpoints and the saved policy hold the
    adapters alone, and the vocabulary cannot grow.
    """

    def provides(self) -> frozenset[str]:
        return super().provides() | {"encoder-decoder"}

    def _load(self, name: str, dtype: torch.dtype) -> tuple[Any, Any]:
        from tgframe.runtime.pretrained import load_seq2seq

        return load_seq2seq(name, dtype)
