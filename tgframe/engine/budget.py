"""Ends training when its budget is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tgframe.engine.state import Run


def spent(run: Run) -> str | None:
    """Return which part of the budget is used up, None while there is some of each left."""
    budget, preference = run.schedule.budget, run.parts.preference
    used = {
        "preference_calls": 0 if preference is None else preference.calls,
        "seconds": run.clock.training(),
        "sampled_tokens": run.counters.sampled_tokens,
    }
    for name, amount in used.items():
        limit = getattr(budget, name)
        if limit is not None and amount >= limit:
            return name
    return None
