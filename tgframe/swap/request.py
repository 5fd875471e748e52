"""What a swap is asked for: which keys take which values, with which seeds, at what budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

SEED = "runtime.seed"
RECIPE = "recipe"
"""The key that stands for the recipe itself: its values are files."""


@attrs.frozen
class Value:
    """One value that a key takes."""

    text: str
    """As it was asked for: its name in tables."""
    yaml: str
    """What stands behind ``key=`` in an override."""


@attrs.frozen
class Vary:
    """A key of the recipe and the values that it takes."""

    key: str
    """``key.sub``, or ``recipe`` for the whole recipe."""
    values: tuple[Value, ...]


@attrs.frozen
class Request:
    """A whole swap as it is asked for."""

    recipe: Path
    overrides: tuple[str, ...]
    """Laid over the recipe in all cells."""
    vary: tuple[Vary, ...]
    seeds: tuple[int, ...] = (0,)
    seed_keys: tuple[str, ...] = ()
    """Further keys that get the seed, beside ``runtime.seed``."""
    budget: Mapping[str, Any] = attrs.field(factory=dict)
    """Options of ``schedule.budget``, the same for all cells."""
    one_at_a_time: bool = False

    def common(self) -> tuple[str, ...]:
        """Return the overrides that all cells share."""
        return (*self.overrides, *(f"schedule.budget.{name}={value}" for name, value in self.budget.items()))

    def seeding(self, seed: int) -> tuple[str, ...]:
        """Return the overrides that make a run one of ``seed``."""
        return tuple(f"{key}={seed}" for key in (SEED, *self.seed_keys))
