"""The preference `function` at work."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tgframe.builtin.preferences.calling import Caller, Late
from tgframe.builtin.preferences.naming import one_line
from tgframe.builtin.preferences.returned import Unusable, entries, number
from tgframe.builtin.preferences.sending import Log, Place, flat
from tgframe.errors import ComponentError, TgframeWarning, did_you_mean
from tgframe.interfaces.batch import Preferences
from tgframe.interfaces.origin import origin
from tgframe.interfaces.preference import PreferenceSource

if TYPE_CHECKING:
    from tgframe.builtin.preferences.function import Function
    from tgframe.builtin.preferences.naming import Parameters
    from tgframe.interfaces.batch import Prompts, Rollouts

SHOWN = 60


class FunctionSource(PreferenceSource):
    """Calls a function once a batch, and makes preferences of what it returns."""

    def __init__(self, options: Function, function: Callable[..., Any], parameters: Parameters) -> None:
        self.options = options
        self.function = function
        self.parameters = parameters
        self.caller = Caller(options.timeout)
        self.counts = dict.fromkeys(("calls", "failures", "timeouts", "missing"), 0)
        self.logged: dict[str, list[float]] = {}
        self.warned = False

    def provides(self) -> frozenset[str]:
        return self.options.provides()

    @cached_property
    def name(self) -> str:
        """The function with where it comes from, for messages."""
        return f"function {self.options.call!r} ({origin(self.options.call.partition(':')[0])})"

    @property
    def calls(self) -> int:
        """Completions that the function was asked about."""
        return self.counts["calls"]

    def monitors(self) -> Mapping[str, float]:
        """Return how often the function failed or was late, how many judgments are missing, means of what it logs."""
        counts = {name: self.counts[name] for name in ("failures", "timeouts", "missing")}
        return {**counts, **{f"logged/{name}": total / count for name, (total, count) in self.logged.items()}}

    def state_dict(self) -> dict[str, Any]:
        """Return what is counted."""
        return {"counts": dict(self.counts), "logged": copy.deepcopy(self.logged)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from a checkpoint."""
        self.counts = dict(state["counts"])
        self.logged = {name: list(sums) for name, sums in state["logged"].items()}

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Judge the completions that are there, ``[B,K]``. What the function raises goes on, with a note."""
        places = rollouts.present.nonzero().tolist()
        groups: list[list[float | None]] = [[None] * rollouts.k for _ in rollouts.prompts.ids]
        if places:
            for (b, k), value in zip(places, self._values(rollouts, places), strict=True):
                groups[b][k] = value
        return Preferences.from_scores(groups, self.options.kind)

    def _values(self, rollouts: Rollouts, places: Sequence[Place]) -> list[float | None]:
        log, prompts = Log(), rollouts.prompts
        arguments = self._arguments(flat(rollouts, places, self.options.conversational, log))
        self.counts["calls"] += len(places)
        found = self._called(arguments, prompts, places)
        values = [self._read(entry, prompts, b) for entry, (b, _) in zip(found, places, strict=True)]
        self.counts["missing"] += values.count(None)
        for name, value in list(log.metrics):
            total, count = self.logged.get(name, (0.0, 0))
            self.logged[name] = [total + value, count + 1]
        return values

    def _arguments(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the function takes of what there is."""
        available = {**known, **copy.deepcopy(self.options.arguments)}
        lacking = sorted(self.parameters.required - available.keys())
        if lacking:
            raise ComponentError(
                f"{self.name} needs {', '.join(map(repr, lacking))}, but is given {', '.join(map(repr, available))}."
                f"{did_you_mean(lacking[0], available)} Use rows with such a column, or give a fixed value in "
                "`arguments`; arguments of a function that makes the one that judges go into `factory`."
            )
        return {name: value for name, value in available.items() if self.parameters.takes(name)}

    def _called(self, arguments: Mapping[str, Any], prompts: Prompts, places: Sequence[Place]) -> list[Any]:
        """Return what the function returned; None for every completion when it failed and may."""
        count, failed = len(places), "failures"
        about = f"judging {count} completions, the first of {_named(prompts, places[0][0])}"
        error: Exception
        try:
            return entries(self.caller.call(self.function, arguments), count)
        except Late:
            failed = "timeouts"
            remedy = "Raise `timeout`, or write `on_error: missing`."
            error = ComponentError(f"{self.name} took more than {self.options.timeout} s for {about}. {remedy}")
        except Unusable as unusable:
            error = ComponentError(f"{self.name} {unusable} It was {about}.")
        except Exception as raised:
            raised.add_note(f"{self.name} raised this {about}.")
            error = raised
        self._count(failed, error)
        return [None] * count

    def _read(self, entry: Any, prompts: Prompts, b: int) -> float | None:
        try:
            return number(entry)
        except Unusable as unusable:
            self._count("failures", ComponentError(f"{self.name} {unusable}. It was judging {_named(prompts, b)}."))
            return None

    def _count(self, what: str, error: Exception) -> None:
        """Count a failure; raise it where the run must stop, else warn of the first one."""
        self.counts[what] += 1
        if self.options.on_error == "stop":
            raise error
        if not self.warned:
            self.warned = True
            said = str(error) if isinstance(error, ComponentError) else f"{self.name} raised {one_line(error)}."
            hint = "The judgments are missing. The metrics count further failures."
            warnings.warn(f"{said} {hint}", TgframeWarning, stacklevel=2)


def _named(prompts: Prompts, b: int) -> str:
    text = " ".join(prompts.texts[b].split())
    return f"prompt {prompts.ids[b]!r} ({text if len(text) <= SHOWN else text[:SHOWN] + '…'!r})"
