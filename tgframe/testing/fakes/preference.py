"""A preference source for tests: what it says is written down beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from tgframe.interfaces.batch import Preferences
from tgframe.interfaces.preference import PreferenceSource

if TYPE_CHECKING:
    from tgframe.interfaces.batch import Rollouts


@attrs.frozen
class FixedPreference(PreferenceSource):
    """Scores written down by text. Texts that are not there have no judgment, or get their length in words negated."""

    scores: Mapping[str, float | None] = attrs.field(factory=dict)
    """Completion to score; None is a missing judgment."""
    others: bool = True
    """Judge texts that are not in ``scores`` by brevity; false leaves them without a judgment."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return Preferences.from_scores([[self._score(text) for text in group] for group in rollouts.texts])

    def _score(self, text: str) -> float | None:
        if text in self.scores:
            return self.scores[text]
        return -float(len(text.split())) if self.others else None
