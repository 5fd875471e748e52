"""Who says which completion is better."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from tgframe.interfaces.batch import Preferences, Rollouts


class PreferenceSource(Specification["PreferenceSource"]):
    """Compares the completions of one prompt: a metric, a classifier, a judge, people, a file.

    ``provides()`` names the kind of its judgments, ``"rank"``, ``"score"`` or ``"label"`` (scores unless overridden),
    and, where it has them, ``"demonstration"``, ``"features"``, ``"segment_values"``.
    """

    def provides(self) -> frozenset[str]:
        return frozenset({"score"})

    @abstractmethod
    def judge(self, rollouts: Rollouts) -> Preferences:
        """Judge ``[B,K]`` completions. Must not depend on the order of the ``K`` completions, nor on padding.

        A judgment that cannot be made is missing (``valid`` False, or None in ``Preferences.from_scores``), never 0.
        """

    def monitors(self) -> Mapping[str, float]:
        """Return running counts (failures, retries, cost) for the metrics."""
        return {}

    @property
    def calls(self) -> int:
        """Judgments paid for so far, in the source's own unit; repeats answered from a cache are free."""
        return 0
