"""The preference `veto`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tgframe.builtin.preferences.composite import EXTRAS, Composite, Sources, kind_of
from tgframe.interfaces.preference import PreferenceSource

if TYPE_CHECKING:
    from tgframe.builtin.preferences.veto_source import VetoSource
    from tgframe.interfaces.batch import PreferenceKind
    from tgframe.interfaces.context import Context


@attrs.frozen
class Veto(Composite):
    """Judges by one source, and puts last what another one values too low.

    A completion that one of the two does not judge is missing: nothing passes unseen. Demonstrations, features and
    segment values are passed on as they are where exactly one of the two has them.
    """

    source: PreferenceSource
    """Judges."""
    by: PreferenceSource
    """May veto. Gives scores or labels."""
    below: float
    """A completion that ``by`` values below this is vetoed."""
    value: float | None = None
    """What a vetoed completion is worth, on the scale of ``source``. Null: one less than the lowest judgment of its
    prompt's completions, whatever that is worth; the judgments are ranks then."""

    def __attrs_post_init__(self) -> None:
        if kind_of(self.by) == "rank":
            raise ValueError("`by` gives ranks, which cannot be compared with `below`. Use one with scores or labels.")
        if self.value is not None and kind_of(self.source) == "rank":
            raise ValueError("`source` gives ranks, beside which `value` means nothing. Write `value: null`.")
        self.check_restrictions()

    def nested(self) -> Sources:
        return {"source": self.source, "by": self.by}

    def kind(self) -> PreferenceKind:
        return "rank" if self.value is None else kind_of(self.source)

    def extras(self) -> frozenset[str]:
        return EXTRAS & (self.source.provides() ^ self.by.provides())

    def build(self, context: Context) -> VetoSource:
        """Build both sources."""
        from tgframe.builtin.preferences.veto_source import VetoSource

        return VetoSource(self, context)
