"""Means of what the parts of a step say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from torch import Tensor

    from tgframe.runtime.processes import Processes


class Means:
    """Weighted means of logs, by name; one that a part leaves out counts where it is there."""

    def __init__(self) -> None:
        self.weight = 0.0
        """What all parts weigh."""
        self._sums: dict[str, float] = {}
        self._weights: dict[str, float] = {}

    def add(self, logs: Mapping[str, Tensor | float], weight: float) -> None:
        """Count the logs of a part."""
        self.weight += weight
        for name, value in logs.items():
            self._count(name, weight * float(value), weight)

    def of_all(self, processes: Processes) -> Self:
        """Return the means over the parts of all processes."""
        if processes.alone:
            return self
        together = type(self)()
        for weight, sums, weights in processes.gather((self.weight, self._sums, self._weights)):
            together.weight += weight
            for name in sums:
                together._count(name, sums[name], weights[name])
        return together

    def _count(self, name: str, value: float, weight: float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value
        self._weights[name] = self._weights.get(name, 0.0) + weight

    def values(self) -> dict[str, float]:
        """Return the means."""
        return {name: total / (self._weights[name] or 1.0) for name, total in self._sums.items()}
