"""What sources made of other sources share: their options."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tgframe.interfaces.preference import PreferenceSource
from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from tgframe.interfaces.batch import PreferenceKind

EXTRAS = frozenset({"demonstration", "features", "segment_values"})
"""What a source may know of completions beside what they are worth."""

Sources = Mapping[str, Specification[PreferenceSource]]


def are_named(composite: Any, attribute: Any, sources: Sources) -> None:
    """Validate the option ``sources``."""
    if not sources:
        raise ValueError("it names no source. Write `sources: {NAME: {type: …}}`.")
    for name in sources:
        if not name or "/" in name:
            raise ValueError(f"a source must have a name without '/', but one is called {name!r}.")


def kind_of(source: Specification[PreferenceSource]) -> PreferenceKind:
    """Return which judgments a source gives: scores where it does not say."""
    kinds: tuple[PreferenceKind, ...] = ("rank", "label", "score")
    return next((kind for kind in kinds if kind in source.provides()), "score")


class Composite(Specification[PreferenceSource]):
    """A source that asks others. It needs what they need, and restricts other parts as they do."""

    @abstractmethod
    def nested(self) -> Sources:
        """Return the sources that it asks, by name."""

    @abstractmethod
    def kind(self) -> PreferenceKind:
        """Return which judgments it gives."""

    def extras(self) -> frozenset[str]:
        """Return what it passes on beside judgments (see :data:`EXTRAS`)."""
        return frozenset()

    def provides(self) -> frozenset[str]:
        return frozenset({self.kind()}) | self.extras()

    def needs(self) -> frozenset[str]:
        return frozenset().union(*(source.needs() for source in self.nested().values()))

    def accepts(self) -> Mapping[str, frozenset[str]]:
        """Return restrictions that please all sources: of what each accepts, what all accept."""
        joined: dict[str, frozenset[str]] = {}
        for source in self.nested().values():
            for key, capabilities in source.accepts().items():
                joined[key] = joined.get(key, capabilities) & capabilities
        return joined

    def check_restrictions(self) -> None:
        """Raise ValueError where sources accept nothing in common."""
        for key, common in self.accepts().items():
            if not common:
                asked = {name: sorted(source.accepts().get(key, ())) for name, source in self.nested().items()}
                raise ValueError(f"its sources accept no common {key}: {asked}. Use one of them.")
