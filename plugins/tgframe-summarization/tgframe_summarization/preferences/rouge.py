"""The preference `rouge`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
from attrs.validators import ge, in_, optional

from tgframe import PreferenceSource, Specification
from tgframe_summarization.scoring import ROUGE, Scoring

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_summarization.preferences.overlap_source import OverlapSource

Variant = Literal["rouge1", "rouge2", "rougeL", "rougeLsum", "paper"]

MIXES: dict[str, dict[str, float]] = {
    **{name: {name: 1.0} for name in ROUGE},
    "paper": {"rouge1": 1.0, "rouge2": 2.0, "rougeLsum": 1.0},
}
"""Variant to the weights of what it is made of."""


def _weights(instance: Any, attribute: Any, weights: dict[str, float]) -> None:
    unknown = [name for name in weights if name not in ROUGE]
    if unknown:
        raise ValueError(f"there is no variant {unknown[0]!r}. Give weights to {', '.join(ROUGE)}.")
    if any(weight < 0 for weight in weights.values()) or not any(weights.values()):
        raise ValueError("weights must be >= 0, and one of them above 0.")


@attrs.frozen
class Rouge(Specification[PreferenceSource]):
    """Prefers completions that share words, word pairs or subsequences with the prompt's targets (ROUGE, F-measure)."""

    variant: Variant | None = attrs.field(default=None, validator=optional(in_(get_args(Variant))))
    """Which ROUGE. ``paper`` is ``{rouge1: 1, rouge2: 2, rougeLsum: 1}``, by which the paper's code follows a run; null
    takes the ``weights``, or ``rouge1`` where there are none."""
    weights: dict[str, float] | None = attrs.field(default=None, validator=optional(_weights))
    """Weights of several, ``{rouge1: 0.4, rougeL: 0.6}``, divided by their sum; null where ``variant`` names one."""
    stemmer: bool = True
    """Compare Porter stems, as the papers do; false compares words."""
    words: Literal["ascii", "unicode"] = attrs.field(default="ascii", validator=in_(("ascii", "unicode")))
    """What a word is. ``ascii``: runs of a-z and 0-9, as in the papers; ``unicode``: letters and digits of any
    script."""
    sentences: Literal["split", "newline"] = attrs.field(default="split", validator=in_(("split", "newline")))
    """What a sentence is to ``rougeLsum``: ``split`` by rules (see the plugin's page), or what stands on a line."""
    targets: Literal["best", "mean"] = attrs.field(default="best", validator=in_(("best", "mean")))
    """What counts of several targets: the ``best`` score, variant by variant, or their ``mean``."""
    workers: int = attrs.field(default=0, validator=ge(0))
    """Processes that score; 1 scores in this one, 0 takes as many as pay for the number of completions."""

    def needs(self) -> frozenset[str]:
        return frozenset({"targets"})

    def provides(self) -> frozenset[str]:
        return frozenset({"score"})

    def __attrs_post_init__(self) -> None:
        if self.variant is not None and self.weights is not None:
            raise ValueError(f"`weights` must be null where `variant` is {self.variant!r}. Leave one of them out.")

    def mix(self) -> dict[str, float]:
        """Return the weight of each ROUGE that counts."""
        weights = self.weights if self.weights is not None else MIXES[self.variant or "rouge1"]
        return {name: weight for name, weight in weights.items() if weight}

    def build(self, context: Context) -> OverlapSource:
        from tgframe_summarization.preferences.overlap_source import OverlapSource

        scoring = Scoring(self.stemmer, self.words, self.sentences, targets=self.targets, workers=self.workers)
        return OverlapSource(self.mix(), scoring)
