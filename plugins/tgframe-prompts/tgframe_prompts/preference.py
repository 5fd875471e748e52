"""The preference `classification-gap`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs.validators import and_, gt, le

from tgframe import PreferenceSource, Specification

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_prompts.gap_source import GapSource


@attrs.frozen
class ClassificationGap(Specification[PreferenceSource]):
    """Prefers prompts with a large mean gap between the right class's probability and the largest other one."""

    lambda_wrong: float = attrs.field(default=180.0, validator=gt(0.0))
    """Weight of texts that are classified wrongly (the paper's lambda1)."""
    lambda_right: float = attrs.field(default=200.0, validator=gt(0.0))
    """Weight of texts that are classified rightly (the paper's lambda2)."""
    zscore: bool = False
    """Standardise the values of each group of prompts on train. Rankings stay the same; values no longer compare over
    time, so that ``schedule.ground.pool`` does nothing. Other splits keep their values: validation compares them."""
    examples: float = attrs.field(default=1.0, validator=and_(gt(0.0), le(1.0)))
    """Share of the train texts that one judgment sees, drawn anew each time, of each class alike."""

    def needs(self) -> frozenset[str]:
        return frozenset({"classification"})

    def provides(self) -> frozenset[str]:
        return frozenset({"rank" if self.zscore else "score"})

    def build(self, context: Context) -> GapSource:
        from tgframe_prompts.gap_source import GapSource

        return GapSource.join(self, context)
