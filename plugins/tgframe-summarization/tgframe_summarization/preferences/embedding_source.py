"""The preference `embedding-similarity` at work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tgframe_summarization.preferences.target_source import TargetSource
from tgframe_summarization.scoring import Pair, Several

if TYPE_CHECKING:
    from tgframe_summarization.encoder_model import SentenceEncoder


class EmbeddingSource(TargetSource):
    """Cosines of a frozen encoder. What it remembers is no state: it follows from the texts."""

    def __init__(self, encoder: SentenceEncoder, several: Several) -> None:
        super().__init__()
        self.encoder = encoder
        self.several = several

    def compare(self, pairs: Sequence[Pair]) -> list[float]:
        return self.encoder.similarities(pairs, self.several)
