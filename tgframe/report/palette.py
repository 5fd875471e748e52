"""Colours of guidance: which class of the style sheet a token gets, on one scale for the whole page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from tgframe.report.numbers import plain

SIDE = 4
"""Classes on either side of zero, where guidance has both signs."""
STEPS = 7
"""Classes from low to high, where it has one."""
TAIL = 0.02
"""Share of the tokens at either end that may lie beyond the scale, so that a few do not bleach the rest."""


@attrs.frozen
class Palette:
    """Guidance values to classes: ``n4 … n1 z p1 … p4`` where both signs occur, else ``s0 … s6``."""

    low: float
    high: float
    diverging: bool

    @classmethod
    def of(cls, values: Iterable[float]) -> Palette:
        """Return the palette for these values, all that the page shows."""
        found = sorted(values)
        if not found:
            return cls(0.0, 0.0, False)
        low, high = _quantile(found, TAIL), _quantile(found, 1 - TAIL)
        if low < 0 < high:
            limit = max(-low, high)
            return cls(-limit, limit, True)
        return cls(low, high, False)

    def name(self, value: float | None) -> str:
        """Return the class of a token; ``none`` where the guidance says nothing."""
        if value is None:
            return "none"
        if self.high == self.low:
            return "z"
        if self.diverging:
            level = min(SIDE, int(abs(value) / self.high * SIDE + 0.5))
            return f"{'p' if value > 0 else 'n'}{level}" if level else "z"
        share = (value - self.low) / (self.high - self.low)
        return f"s{min(STEPS - 1, max(0, int(share * STEPS)))}"

    def legend(self) -> Sequence[tuple[str, str]]:
        """Return classes with a label each, from low to high; inner ones without."""
        if self.high == self.low:
            return [("z", plain(self.low))]
        if self.diverging:
            names = (
                [f"n{level}" for level in range(SIDE, 0, -1)] + ["z"] + [f"p{level}" for level in range(1, SIDE + 1)]
            )
            return _labelled(names, {0: plain(self.low), SIDE: "0", 2 * SIDE: plain(self.high)})
        names = [f"s{level}" for level in range(STEPS)]
        return _labelled(names, {0: plain(self.low), STEPS - 1: plain(self.high)})


def _labelled(names: Sequence[str], labels: dict[int, str]) -> list[tuple[str, str]]:
    return [(name, labels.get(index, "")) for index, name in enumerate(names)]


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]
