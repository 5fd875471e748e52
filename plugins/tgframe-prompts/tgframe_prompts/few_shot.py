"""The data source `few-shot`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge, gt, min_len, optional

from tgframe import DataSource, Splits

if TYPE_CHECKING:
    from tgframe import Context


@attrs.frozen
class FewShot(DataSource):
    """A few rows of each class of another source. Splits that it lacks are drawn from its ``train``, no text twice.

    ``dev`` is drawn from the source's ``dev``; where there is none, from what is left of its ``train``. ``test`` is the
    source's, whole; where there is none, all that is left of its ``train`` in the end.
    """

    source: DataSource
    """Where the rows come from."""
    shots: int = attrs.field(default=16, validator=gt(0))
    """Rows of each class in train, and as many in dev."""
    data_seed: int = attrs.field(default=0, validator=ge(0))
    """Which rows are drawn."""
    text: str | tuple[str, ...] = ("text", "sentence")
    """Column of the texts, or several names of which each split has one."""
    label: str | tuple[str, ...] = ("label",)
    """Column of the classes, or several names of which each split has one."""
    classes: tuple[str, ...] | None = attrs.field(default=None, validator=optional(min_len(2)))
    """Classes whose rows are taken, in every split; null takes all."""

    def load(self, context: Context) -> Splits:
        """Draw the rows. Raises :class:`~tgframe.DataError` where a class has too few."""
        from tgframe_prompts.drawing import drawn

        return drawn(self, self.source.build(context).load(context))
