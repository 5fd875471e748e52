"""Passes over rows: every row once, in a new order each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class Passes:
    """Walks through splits. A pass belongs to the generator that shuffles it: two readers do not share one."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[int]] = {}

    def take(self, split: str, size: int, count: int, generator: torch.Generator) -> list[int]:
        """Return the next ``count`` of ``size`` places, beginning a new pass where one ends."""
        reader = f"{split}/{generator.initial_seed()}"
        waiting = self._waiting.setdefault(reader, [])
        while len(waiting) < count:
            waiting += torch.randperm(size, generator=generator).tolist()
        self._waiting[reader] = waiting[count:]
        return waiting[:count]

    def state_dict(self) -> dict[str, Any]:
        """Return what is left of every pass."""
        return {"waiting": {reader: list(places) for reader, places in self._waiting.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self._waiting = {reader: list(places) for reader, places in state["waiting"].items()}
