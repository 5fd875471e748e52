"""From values to places on a page."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs

from tgframe.report.numbers import decimals, minus, plain


@attrs.frozen
class Tick:
    """A marked place of an axis."""

    share: float
    """From 0, the low end, to 1."""
    text: str


@attrs.frozen
class Axis:
    """A linear scale between two ends."""

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()

    def share(self, value: float) -> float:
        """Return where ``value`` lies, 0 at the low end and 1 at the high end."""
        return (value - self.low) / (self.high - self.low)

    def percent(self, value: float) -> str:
        """Return where ``value`` lies, as SVG and CSS write it."""
        return f"{100 * self.share(value):.2f}%"

    @classmethod
    def nice(cls, values: Iterable[float], count: int = 3) -> Axis:
        """Return an axis that holds ``values`` and ends at round numbers, with about ``count`` steps."""
        low, high = _ends(values)
        step = _round_step((high - low) / count)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        low, high = first * step, last * step
        places = [index * step for index in range(first, last + 1)]
        digits = decimals(step)
        ticks = tuple(Tick((place - low) / (high - low), _label(place, digits)) for place in places)
        return cls(low, high, ticks)

    @classmethod
    def bare(cls, values: Iterable[float]) -> Axis:
        """Return an axis from the lowest to the highest value, with a tick at either end."""
        low, high = _ends(values)
        return cls(low, high, (Tick(0, plain(low)), Tick(1, plain(high))))


def _ends(values: Iterable[float]) -> tuple[float, float]:
    """Return lowest and highest; values that are all alike, or none, get room around them."""
    found = list(values) or [0.0]
    low, high = min(found), max(found)
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    room = abs(low) / 2 or 0.5
    return low - room, high + room


def _round_step(step: float) -> float:
    """Return the next larger step of 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)


def _label(value: float, digits: int) -> str:
    if value and (abs(value) >= 1e5 or digits > 4):
        return minus(f"{value:.2g}")
    return minus(f"{value:,.{digits}f}")
