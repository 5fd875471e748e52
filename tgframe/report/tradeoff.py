"""Quality against cost: where each cell lies."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tgframe.report.axis import Axis
from tgframe.report.results import lower_is_better
from tgframe.report.swap_cells import COSTS, Cell, Target

PLOTS = 3
"""Costs that are shown for one target."""


@attrs.frozen
class Spot:
    """One cell's mean."""

    cell: Cell
    cost: float
    quality: float
    front: bool
    """No cell is better at no higher cost."""


@attrs.frozen
class Tradeoff:
    """A scatter plot of one target against one cost."""

    target: Target
    cost: str
    x: Axis
    y: Axis
    spots: Sequence[Spot]

    def left(self, spot: Spot) -> str:
        """Return where a spot lies from the left, in percent."""
        return self.x.percent(spot.cost)

    def top(self, spot: Spot) -> str:
        """Return where a spot lies from above, in percent."""
        return f"{100 * (1 - self.y.share(spot.quality)):.2f}%"


def tradeoffs_of(target: Target, means: dict[str, float], cells: Sequence[Cell]) -> list[Tradeoff]:
    """Return plots of the mean quality by cell id against every cost in which cells differ."""
    found = []
    for name, (title, unit) in COSTS.items():
        placed = [
            (cell, cost / unit, means[cell.id]) for cell in cells if cell.id in means and (cost := cell.cost(name))
        ]
        if len({cost for _, cost, _ in placed}) > 1:
            found.append(_tradeoff(target, title, placed))
    return found[:PLOTS]


def _tradeoff(target: Target, title: str, placed: Sequence[tuple[Cell, float, float]]) -> Tradeoff:
    sign = -1 if lower_is_better(target.metric) else 1
    spots = [Spot(cell, cost, quality, _front(sign, cost, quality, placed)) for cell, cost, quality in placed]
    x, y = Axis.nice([cost for _, cost, _ in placed]), Axis.nice([quality for _, _, quality in placed])
    return Tradeoff(target, title, x, y, spots)


def _front(sign: int, cost: float, quality: float, placed: Sequence[tuple[Cell, float, float]]) -> bool:
    return not any(sign * other > sign * quality and price <= cost for _, price, other in placed)
