"""A frozen sentence encoder: its options, and how alike a summary and its targets are to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import ge, gt, in_, optional

from tgframe import ModelName

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_summarization.encoder_model import SentenceEncoder


@attrs.frozen
class Encoder:
    """A sentence encoder on this machine, or from the hub."""

    model: ModelName
    """Hub name, folder, or ``prefix/name`` of a sentence encoder; of an encoder-decoder, the encoder is used."""
    pooling: Literal["mean", "first"] = attrs.field(default="mean", validator=in_(("mean", "first")))
    """Which states make the embedding: ``mean`` of all tokens, or the ``first`` token's."""
    max_length: int | None = attrs.field(default=None, validator=optional(gt(0)))
    """Longest text in tokens, the rest is not read; null takes what the model can read."""
    batch_tokens: int = attrs.field(default=8192, validator=ge(1))
    """Tokens in one forward pass, padding counted."""
    remember: int = attrs.field(default=20_000, validator=ge(0))
    """Texts whose embeddings are kept; the least recently used are forgotten first."""

    def load(self, context: Context) -> SentenceEncoder:
        """Load model and tokenizer."""
        from tgframe_summarization.encoder_model import SentenceEncoder

        return SentenceEncoder.load(self, context)
