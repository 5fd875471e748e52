"""The preference `embedding-similarity`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import in_

from tgframe import PreferenceSource, Specification
from tgframe_summarization.encoder import Encoder

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_summarization.preferences.embedding_source import EmbeddingSource


@attrs.frozen
class EmbeddingSimilarity(Encoder, Specification[PreferenceSource]):
    """Prefers completions that a frozen sentence encoder puts near the prompt's targets (cosine, in -1..1)."""

    targets: Literal["best", "mean"] = attrs.field(default="best", validator=in_(("best", "mean")))
    """What counts of several targets: the ``best`` similarity, or their ``mean``."""

    def needs(self) -> frozenset[str]:
        return frozenset({"targets"})

    def provides(self) -> frozenset[str]:
        return frozenset({"score"})

    def build(self, context: Context) -> EmbeddingSource:
        from tgframe_summarization.preferences.embedding_source import EmbeddingSource

        return EmbeddingSource(self.load(context), self.targets)
