"""The preference `meteor`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import ge, in_

from tgframe import PreferenceSource, Specification
from tgframe_summarization.scoring import METEOR, Scoring

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_summarization.preferences.overlap_source import OverlapSource


@attrs.frozen
class Meteor(Specification[PreferenceSource]):
    """Prefers completions whose words, stems and (with WordNet) synonyms are those of the prompt's targets, in order.

    The paper's preference for summarization.
    """

    wordnet: bool = False
    """Also match synonyms, as the paper does. Needs the data set `wordnet` of nltk on this machine."""
    targets: Literal["best", "mean"] = attrs.field(default="best", validator=in_(("best", "mean")))
    """What counts of several targets: the ``best`` score, or their ``mean``."""
    workers: int = attrs.field(default=0, validator=ge(0))
    """Processes that score; 1 scores in this one, 0 takes as many as pay for the number of completions."""

    def needs(self) -> frozenset[str]:
        return frozenset({"targets"})

    def provides(self) -> frozenset[str]:
        return frozenset({"score"})

    def build(self, context: Context) -> OverlapSource:
        from tgframe_summarization.preferences.overlap_source import OverlapSource

        scoring = Scoring(wordnet=self.wordnet, targets=self.targets, workers=self.workers)
        return OverlapSource({METEOR: 1.0}, scoring)
