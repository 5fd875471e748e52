"""The preference `weighted-sum`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs.validators import in_, optional

from tgframe.builtin.preferences.composite import Composite, Sources, are_named, kind_of
from tgframe.errors import did_you_mean
from tgframe.interfaces.preference import PreferenceSource

if TYPE_CHECKING:
    from tgframe.builtin.preferences.weighted_sum_source import WeightedSumSource
    from tgframe.interfaces.batch import PreferenceKind
    from tgframe.interfaces.context import Context


def _one_a_source(options: WeightedSum, attribute: Any, weights: dict[str, float]) -> None:
    known = ", ".join(options.sources)
    for name in weights:
        if name not in options.sources:
            guess = did_you_mean(name, options.sources)
            raise ValueError(f"there is no source {name!r}.{guess} Sources: {known}.")
    for name in options.sources:
        if name not in weights:
            raise ValueError(f"source {name!r} has no weight. Give one to each of: {known}.")
    if not any(weights.values()):
        raise ValueError("all weights are 0. Give at least one that is not.")


@attrs.frozen
class WeightedSum(Composite):
    """Adds what several sources say of a completion, each times its weight.

    ``p_k = sum_s w_s f(p_sk)`` with ``f`` the scale. Gives scores without a scale, else ranks: numbers that compare
    within a prompt. What sources know beside judgments (demonstrations, features, segment values) is not passed on.
    """

    sources: dict[str, PreferenceSource] = attrs.field(validator=are_named)
    """The sources by name."""
    weights: dict[str, float] | None = attrs.field(default=None, validator=optional(_one_a_source))
    """Weight of each source, below 0 where less is better; null gives all the weight 1."""
    scale: Literal["none", "group", "rank"] = attrs.field(default="none", validator=in_(("none", "group", "rank")))
    """Makes sources alike before they are added. ``none``: values as they are, only for scores and labels; ``group``:
    deviations from the mean of the prompt's completions in standard deviations (over K, not K - 1), 0 where all are
    equal; ``rank``: the share of the prompt's other completions that are worse, a tie counting half (Borda)."""
    missing: Literal["any", "all"] = attrs.field(default="any", validator=in_(("any", "all")))
    """``any``: a completion is missing as soon as one source misses it, and is left out of every scale; ``all``: only
    when all sources miss it. Then the sum of the others is scaled up to the whole weight (of absolute values)."""

    def __attrs_post_init__(self) -> None:
        ranks = [name for name, source in self.sources.items() if kind_of(source) == "rank"]
        if ranks and self.scale == "none":
            raise ValueError(
                f"source {ranks[0]!r} gives ranks, which mean nothing beside other numbers. "
                "Write `scale: group` or `scale: rank`."
            )
        self.check_restrictions()

    def nested(self) -> Sources:
        return self.sources

    def kind(self) -> PreferenceKind:
        return "score" if self.scale == "none" else "rank"

    def build(self, context: Context) -> WeightedSumSource:
        """Build all sources, in their order."""
        from tgframe.builtin.preferences.weighted_sum_source import WeightedSumSource

        return WeightedSumSource(self, context)
