"""Stops a run when a number is no longer one."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import attrs
import torch
from torch import Tensor

from tgframe.errors import ComponentError, NumericError, TgframeError
from tgframe.interfaces.batch import Preferences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tgframe.engine.state import Run
    from tgframe.interfaces.batch import Prompts, Rollouts

SHOWN = 60
"""Characters of a prompt that messages show."""


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
    """Return the preferences of ``rollouts``, moved to their device; absent completions have none.

    Whatever the source raises is told with its name, distribution and version, and with the prompts: errors of tgframe
    as one message of the same class, any other as it is, with a note. Judgments of the wrong shape or type raise
    :class:`~tgframe.errors.ComponentError`, those that are not finite :class:`~tgframe.errors.NumericError`.
    """
    try:
        preferences = judge(rollouts)
        _check(preferences, rollouts)
    except TgframeError as error:
        raise _told(run, error, rollouts.prompts) from error
    except Exception as error:
        error.add_note(f"{_source(run)} raised this, judging {_prompts(rollouts.prompts)}.")
        raise
    return _of_present(preferences.to(rollouts.tokens.device), rollouts.present)


def _check(preferences: object, rollouts: Rollouts) -> None:
    shape = list(rollouts.tokens.shape[:2])
    found = list(preferences.values.shape) if isinstance(preferences, Preferences) else type(preferences).__name__
    if found != shape:
        raise ComponentError(f"`judge` must return preferences of the shape {shape}, but returned {found} instead.")


def _of_present(preferences: Preferences, present: Tensor) -> Preferences:
    sources = {name: _of_present(source, present) for name, source in preferences.sources.items()}
    return attrs.evolve(preferences, valid=preferences.valid & present, sources=sources)


def _told(run: Run, error: TgframeError, prompts: Prompts) -> TgframeError:
    """Return the error that says who judged what; the prompt stays out where the source has named it."""
    named = any(repr(key) in str(error) for key in prompts.ids)
    message = f"{_source(run)}: {error}" + ("" if named else f" It was judging {_prompts(prompts)}.")
    if isinstance(error, NumericError) or "must be finite" in str(error):
        return NumericError(f"At improvement step {run.counters.step}: {message}")
    # A plugin's own class may be made of something else than a message.
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == TgframeError.__module__)
    return kind(message)  # type: ignore[no-any-return]


def _source(run: Run) -> str:
    """Return ``preference 'judge' (tgframe-judge 1.2)``."""
    origin = run.manifest.get("components", {}).get("preference")
    name = run.parts.label("preference")
    return f"{name} ({origin['distribution']} {origin['version']})" if origin is not None else name


def _prompts(prompts: Prompts) -> str:
    """Return ``prompt '7' ('What is…') and 3 more``."""
    if not len(prompts):
        return "no prompt"
    text = " ".join(prompts.texts[0].split())
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    more = f" and {len(prompts) - 1} more" if len(prompts) > 1 else ""
    return f"prompt {prompts.ids[0]!r} ({shown!r}){more}"


def paid(run: Run) -> dict[str, float]:
    """Return what judging has cost so far, in all processes: calls, and what the source itself monitors."""
    preference = run.parts.preference
    if preference is None:
        return {}
    monitors = {f"preference/{name}": value for name, value in preference.monitors().items()}
    found = run.processes.gather({"preference_calls": preference.calls, **monitors})
    return found[0] if len(found) == 1 else {name: _together(name, found) for name in dict.fromkeys(chain(*found))}


def _together(name: str, found: Sequence[Mapping[str, float]]) -> float:
    """Return the sum over the processes that have ``name``; what a source logs is a mean already, and stays one."""
    values = [one[name] for one in found if name in one]
    return sum(values) / len(values) if "/logged/" in name else sum(values)
