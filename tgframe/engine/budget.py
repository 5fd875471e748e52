"""Ends training when its budget is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from tgframe.engine.state import Run


def calls(run: Run) -> int:
    """Return how many judgments have been paid for, in all processes."""
    preference = run.parts.preference
    return 0 if preference is None else run.processes.sum(preference.calls)


def spent(run: Run) -> str | None:
    """Return which part of the budget is used up, None while there is some of each left; the same in all processes."""
    limits = {name: limit for name, limit in attrs.asdict(run.schedule.budget).items() if limit is not None}
    if not limits:
        return None
    used = {
        "preference_calls": calls(run),
        "seconds": run.processes.from_main(run.clock.training),
        "sampled_tokens": run.counters.sampled_tokens,
    }
    return next((name for name, limit in limits.items() if used[name] >= limit), None)
