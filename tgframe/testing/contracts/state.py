"""What a checkpoint can hold: tensors and plain JSON values, under names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def not_storable(state: Any, path: str = "state") -> list[str]:
    """Return the places of a state that are neither tensors nor JSON values."""
    if isinstance(state, Mapping):
        keys = [f"{path}: key {key!r}" for key in state if not isinstance(key, str)]
        return keys + [bad for key, value in state.items() for bad in not_storable(value, f"{path}.{key}")]
    if isinstance(state, list | tuple):
        return [bad for place, value in enumerate(state) for bad in not_storable(value, f"{path}[{place}]")]
    return [] if state is None or isinstance(state, torch.Tensor | str | int | float | bool) else [path]


def same(left: Any, right: Any) -> bool:
    """Whether two states are equal, tensors element by element."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
