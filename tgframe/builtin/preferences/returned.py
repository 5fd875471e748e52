"""What a function returned, read as judgments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

LARGEST = torch.finfo(torch.float32).max


class Unusable(Exception):
    """What is wrong with it: the second half of a sentence that begins with the function."""


def entries(returned: Any, count: int) -> list[Any]:
    """Return the ``count`` entries of a list, a tensor or an array. Raises :class:`Unusable`."""
    shape = getattr(returned, "shape", None)
    if hasattr(returned, "tolist") and (shape is None or len(shape)):
        returned = returned.tolist()
    if not isinstance(returned, list | tuple):
        raise Unusable(f"must return a list of numbers, but returned {_what(returned)} instead.{_hint(returned)}")
    if len(returned) != count:
        raise Unusable(f"must return {count} numbers, one a completion, but returned {len(returned)} instead.")
    return list(returned)


def number(entry: Any) -> float | None:
    """Return one entry as a judgment; None is a missing one. Raises :class:`Unusable`."""
    if getattr(entry, "shape", None) == () and hasattr(entry, "item"):  # a scalar of torch or numpy
        entry = entry.item()
    if entry is None:
        return None
    if (isinstance(entry, Sequence) and not isinstance(entry, str)) or hasattr(entry, "tolist"):
        raise Unusable(
            f"must return one number a completion, but returned {_what(entry)} instead. A preference source judges "
            "whole completions: return a sum or a mean of what their tokens are worth"
        )
    if not isinstance(entry, int | float):
        raise Unusable(f"must return numbers or None, but returned {entry!r} instead")
    if not abs(entry) <= LARGEST:
        raise Unusable(f"returned {entry!r}, but judgments must be finite. Return None where there is none")
    return float(entry)


def _what(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _hint(returned: Any) -> str:
    if not callable(returned):
        return ""
    return " If it makes the function that judges, give its arguments as `factory: {…}`, or `factory: {}` for none."
