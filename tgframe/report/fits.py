"""When the guidance was fitted."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import attrs

from tgframe.report.axis import Axis, Tick
from tgframe.report.reading import Row, number, whole


@attrs.frozen
class Fit:
    """One grounding of the guidance."""

    number: int
    step: int
    """Improvement steps done when it began."""
    first: int
    """Its first grounding step."""


@attrs.frozen
class Fits:
    """All groundings of a run, in order."""

    fits: tuple[Fit, ...]

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Fits:
        """Return the fits that grounding rows of metrics.jsonl tell of."""
        found: dict[int, Fit] = {}
        for row in rows:
            if number(row.get("fit")) is not None:
                fit = whole(row["fit"])
                found.setdefault(fit, Fit(fit, whole(row.get("step")), whole(row.get("ground_step"))))
        return cls(tuple(found[key] for key in sorted(found)))

    def after(self, updates: int) -> int:
        """Return the number of the fit whose guidance this is after ``updates`` grounding steps, 0 before the first."""
        return max((fit.number for fit in self.fits if fit.first <= updates), default=0) if updates else 0

    def periods(self, last: int) -> list[tuple[Fit, int]]:
        """Return each fit that improvement followed, with the step until which it lasted."""
        ends = [after.step for _, after in pairwise(self.fits)] + [last]
        return [(fit, end) for fit, end in zip(self.fits, ends, strict=False) if end > fit.step]

    def marks(self, axis: Axis, grounding: bool = False) -> list[Tick]:
        """Return where each fit began on an axis of improvement steps, or of grounding steps."""
        places = [(fit.first if grounding else fit.step, f"fit {fit.number}") for fit in self.fits]
        return [Tick(axis.share(place), text) for place, text in places if axis.low <= place <= axis.high]
