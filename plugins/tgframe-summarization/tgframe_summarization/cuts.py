"""Counts what was too long, and says so once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import attrs

from tgframe import TgframeWarning


@attrs.define
class Cuts:
    """Of how many rows source or targets were cut."""

    rows: int = 0
    sources: int = 0
    targets: int = 0

    def __add__(self, other: Cuts) -> Cuts:
        return Cuts(self.rows + other.rows, self.sources + other.sources, self.targets + other.targets)

    def details(self) -> dict[str, int]:
        """Return the counts as details of a result."""
        return {"rows": self.rows, "sources_cut": self.sources, "targets_cut": self.targets}

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return attrs.asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.rows, self.sources, self.targets = state["rows"], state["sources"], state["targets"]


class Teller:
    """Warns of the first cut, and of no other."""

    def __init__(self, max_source_tokens: int | None, max_target_tokens: int | None) -> None:
        self._limits = {"max_source_tokens": max_source_tokens, "max_target_tokens": max_target_tokens}
        self._told = False

    def tell(self, cuts: Cuts, split: str) -> None:
        """Hear of the cuts in some rows of a split."""
        if self._told or not (cuts.sources or cuts.targets):
            return
        self._told = True
        what, option = ("A source", "max_source_tokens") if cuts.sources else ("A target", "max_target_tokens")
        warnings.warn(
            f"{what} in split {split!r} has more tokens than `task.{option}` ({self._limits[option]}) and loses its "
            "end. The details of the result count what is cut; this is said once.",
            TgframeWarning,
            stacklevel=2,
        )
