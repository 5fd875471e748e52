"""Stops a run when a number is no longer one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch
from torch import Tensor

from tgframe.errors import ComponentError, NumericError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tgframe.engine.state import Run
    from tgframe.interfaces.batch import Preferences, Rollouts


def require_finite(tensor: Tensor, what: str, who: str, run: Run) -> None:
    """Raise :class:`~tgframe.errors.NumericError` unless all of ``tensor`` is finite.

    The message names the quantity (``what``), the component (``who``), the step, and the last good checkpoint.
    """
    if torch.isfinite(tensor).all():
        return
    bad = "NaN" if torch.isnan(tensor).any() else "infinity"
    saved = (
        f"The last good checkpoint is {str(run.last_checkpoint)!r}."
        if run.last_checkpoint
        else ("No checkpoint was written yet; `runtime.checkpoint_every=N` writes some on the way.")
    )
    raise NumericError(
        f"The {what} of {who} must be finite, but holds {bad} instead, at improvement step {run.counters.step} "
        f"(grounding step {run.counters.ground_step}). Lower the learning rate or clip harder. {saved}"
    )


def judged(run: Run, judge: Callable[[Rollouts], Preferences], rollouts: Rollouts) -> Preferences:
    """Return the preferences of ``rollouts``, moved to their device; what breaks the interface is named.

    Raises :class:`~tgframe.errors.NumericError` for judgments that are not finite and
    :class:`~tgframe.errors.ComponentError` for any of the wrong shape or type.
    """
    who = run.parts.label("preference")
    try:
        preferences = judge(rollouts)
    except ComponentError as error:
        if "finite" in str(error):
            raise NumericError(f"At improvement step {run.counters.step}: {who}: {error}") from error
        raise ComponentError(f"{who}: {error}") from error
    shape = tuple(getattr(getattr(preferences, "values", None), "shape", ()))
    if shape != tuple(rollouts.tokens.shape[:2]):
        raise ComponentError(
            f"{who} must return preferences of the shape {list(rollouts.tokens.shape[:2])}, "
            f"but returned {list(shape) or type(preferences).__name__} instead."
        )
    preferences = preferences.to(rollouts.tokens.device)
    return attrs.evolve(preferences, valid=preferences.valid & rollouts.present)


def paid(run: Run) -> dict[str, float]:
    """Return what judging has cost so far: calls, and what the source itself monitors."""
    preference = run.parts.preference
    if preference is None:
        return {}
    return {"preference_calls": preference.calls, **{f"preference/{k}": v for k, v in preference.monitors().items()}}
