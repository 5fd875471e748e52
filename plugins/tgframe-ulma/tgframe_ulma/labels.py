"""Labels of two classes: 1 is good, 0 is bad, and nothing else is read as one of them."""

from __future__ import annotations

import torch
from torch import Tensor

from tgframe import DataError, Step
from tgframe_ulma.pairs import judged


def positive(step: Step, remedy: str = "") -> Tensor:
    """Return bool ``[B,K]``, True where a judged completion has the label 1; unread where nothing is judged.

    Raises :class:`~tgframe.DataError` naming the prompt and the value of a label that is neither 0 nor 1; ``remedy``
    is put behind it.
    """
    labels, known = step.preferences.values, judged(step)
    strange = known & (labels != 0) & (labels != 1)
    if strange.any():
        value, who = _first(step, strange)
        raise DataError(f"Labels must be 0 or 1, but {who} has {value!r} instead. Mend the row.{remedy}")
    return known & (labels > 0.5)


def require_good(step: Step, demonstrations: Tensor, good: Tensor) -> None:
    """Raise :class:`~tgframe.DataError` where one of ``demonstrations`` bool ``[B,K]`` is judged, and not ``good``."""
    wrong = demonstrations & judged(step) & ~good
    if wrong.any():
        value, who = _first(step, wrong)
        raise DataError(
            f"A demonstration must have the label 1, but {who} has one with {value!r} instead. Mend the row, or choose "
            "another rule for `objective.demonstrations`."
        )


def _first(step: Step, where: Tensor) -> tuple[float, str]:
    """Return the value of the first completion in ``where``, and the name of its prompt."""
    row, column = torch.nonzero(where)[0].tolist()
    return float(step.preferences.values[row, column]), f"prompt {step.rollouts.prompts.ids[row]!r}"
