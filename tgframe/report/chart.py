"""A small line chart: geometry here, drawing in templates/chart.html."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from tgframe.report.axis import Axis, Tick
from tgframe.report.numbers import plain

WIDTH, HEIGHT = 1000, 400
"""The drawing's own units; it is stretched to its place on the page."""
POINTS = 160
"""A curve of more points is drawn as means, with a band from the lowest to the highest."""
DOTTED = 12
"""A curve of so few points shows each as a dot."""


@attrs.frozen
class Point:
    """One or several neighbouring values of a curve."""

    x: float
    y: float
    low: float
    high: float


@attrs.frozen
class Curve:
    """Values over steps."""

    name: str
    points: Sequence[Point]

    @classmethod
    def of(cls, name: str, values: Iterable[tuple[float, float]]) -> Curve:
        """Return the curve through ``values``, thinned where there are many."""
        found = list(values)
        size = -(-len(found) // POINTS)
        return cls(name, [_merged(found[start : start + size]) for start in range(0, len(found), max(size, 1))])


@attrs.frozen
class Line:
    """A curve, drawn."""

    name: str
    path: str
    band: str
    """Outline of the band; empty where every point is one value."""
    dots: str


@attrs.frozen
class Chart:
    """Curves over one axis."""

    key: str
    group: str
    """Charts of one group have the same horizontal axis and are read off together."""
    title: str
    about: str
    x: Axis
    y: Axis
    curves: Sequence[Curve]
    marks: Sequence[Tick] = ()
    """Vertical lines."""
    level: Tick | None = None
    """A horizontal line to compare with."""

    @property
    def lines(self) -> list[Line]:
        """What to draw."""
        return [self._line(curve) for curve in self.curves]

    @property
    def constant(self) -> bool:
        """Whether a curve never leaves its first value."""
        values = {value for curve in self.curves for point in curve.points for value in (point.low, point.high)}
        return len(values) == 1 and any(len(curve.points) > 1 for curve in self.curves)

    @property
    def latest(self) -> str:
        """The last value of each curve."""
        return " · ".join(plain(curve.points[-1].y) for curve in self.curves)

    @property
    def summary(self) -> str:
        """The chart in a sentence, for those who do not see it."""
        return f"{self.title}. " + " ".join(_told(curve) for curve in self.curves)

    def data(self) -> Mapping[str, Any]:
        """Return what the page's script needs to read values off."""
        curves = [[[_short(point.x), _short(point.y)] for point in curve.points] for curve in self.curves]
        return {"group": self.group, "low": self.x.low, "high": self.x.high, "curves": curves}

    def _line(self, curve: Curve) -> Line:
        points = [(self._x(point.x), self._y(point.y)) for point in curve.points]
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points) if len(points) <= DOTTED else ""
        return Line(curve.name, _path(points), self._band(curve), dots)

    def _band(self, curve: Curve) -> str:
        if all(point.low == point.high for point in curve.points):
            return ""
        above = [(self._x(point.x), self._y(point.high)) for point in curve.points]
        below = [(self._x(point.x), self._y(point.low)) for point in reversed(curve.points)]
        return f"{_path(above + below)}Z"

    def _x(self, value: float) -> float:
        return WIDTH * self.x.share(value)

    def _y(self, value: float) -> float:
        return HEIGHT * (1 - self.y.share(value))


def chart(
    key: str,
    group: str,
    title: str,
    about: str,
    x: Axis,
    curves: Sequence[Curve],
    marks: Sequence[Tick] = (),
    level: tuple[float, str] | None = None,
) -> Chart:
    """Return the chart of ``curves``, with a vertical axis that holds them and ``level``."""
    values = [value for curve in curves for point in curve.points for value in (point.low, point.high)]
    y = Axis.nice([*values, level[0]] if level else values)
    return Chart(key, group, title, about, x, y, curves, marks, Tick(y.share(level[0]), level[1]) if level else None)


def _merged(values: Sequence[tuple[float, float]]) -> Point:
    ys = [y for _, y in values]
    return Point(sum(x for x, _ in values) / len(values), sum(ys) / len(ys), min(ys), max(ys))


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _told(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    low, high = min(point.low for point in curve.points), max(point.high for point in curve.points)
    return (
        f"{curve.name} goes from {plain(first.y)} at {plain(first.x)} to {plain(last.y)} at {plain(last.x)}; "
        f"lowest {plain(low)}, highest {plain(high)}."
    )


def _short(value: float) -> float:
    return float(f"{value:.5g}")
