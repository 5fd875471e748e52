"""The preference `first`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tgframe.builtin.preferences.composite import EXTRAS, Composite, Sources, are_named, kind_of
from tgframe.interfaces.preference import PreferenceSource

if TYPE_CHECKING:
    from tgframe.builtin.preferences.first_source import FirstSource
    from tgframe.interfaces.batch import PreferenceKind
    from tgframe.interfaces.context import Context


@attrs.frozen
class First(Composite):
    """Asks one source after another, and takes for each prompt the first that judges all of its completions.

    Where none does, the one with the most judgments counts, the earlier of two. All judgments of a prompt come from one
    source. A later source is asked only about prompts that no earlier one has settled, so that an expensive one costs
    only what is needed.

    Sources that give judgments of one kind pass it on; for scores and labels they should use one scale, since values of
    different prompts are compared. Sources of different kinds together give ranks. Demonstrations, features and segment
    values are passed on where all sources have them: those of a prompt come from its source.
    """

    sources: dict[str, PreferenceSource] = attrs.field(validator=are_named)
    """The sources by name, in the order in which they are asked."""

    def __attrs_post_init__(self) -> None:
        self.check_restrictions()

    def nested(self) -> Sources:
        return self.sources

    def kind(self) -> PreferenceKind:
        kinds = {kind_of(source) for source in self.sources.values()}
        return kinds.pop() if len(kinds) == 1 else "rank"

    def extras(self) -> frozenset[str]:
        return EXTRAS.intersection(*(source.provides() for source in self.sources.values()))

    def build(self, context: Context) -> FirstSource:
        """Build all sources, in their order."""
        from tgframe.builtin.preferences.first_source import FirstSource

        return FirstSource(self, context)
