"""What a run is made of while it runs: its parts, its counters, its clock, and where it writes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tgframe.interfaces.schedule import Optimizers, RuntimeOptions, Schedule

if TYPE_CHECKING:
    from tgframe.interfaces.aggregator import Aggregator
    from tgframe.interfaces.guidance import GuidanceModel
    from tgframe.interfaces.objective import LMObjective
    from tgframe.interfaces.policy import Policy
    from tgframe.interfaces.preference import PreferenceSource
    from tgframe.interfaces.sampler import Sampler
    from tgframe.interfaces.task import Task
    from tgframe.runtime.machine import Machine
    from tgframe.runtime.processes import Processes
    from tgframe.runtime.run_folder import RunFolder


STATEFUL = (
    "task",
    "policy",
    "objective",
    "sampler",
    "ground_sampler",
    "preference",
    "guidance",
    "aggregator",
    "reference",
)
"""Parts that may have state: all that a recipe names."""


MODELS = ("policy", "guidance", "reference")
"""Parts whose weights processes may divide, by recipe key."""


def used_for(needs: Iterable[str]) -> tuple[str, ...]:
    """Return those of :data:`MODELS` that fields of a step are made with."""
    heads = {need.removeprefix("targets.").partition("_")[0] for need in needs}
    return tuple(name for name in MODELS if name in heads)


@attrs.frozen(eq=False)
class Parts:
    """The parts of one run, built and ready. Those that the recipe leaves out are None."""

    task: Task
    policy: Policy
    objective: LMObjective | None = None
    sampler: Sampler | None = None
    ground_sampler: Sampler | None = None
    """Draws what is judged for grounding; the recipe's sampler where the schedule names none."""
    preference: PreferenceSource | None = None
    guidance: GuidanceModel | None = None
    aggregator: Aggregator | None = None
    reference: Policy | None = None
    needs: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    """Recipe key to what that part asked for."""
    names: Mapping[str, str] = attrs.field(factory=dict)
    """Recipe key to the component's name in the recipe, for messages."""

    def used_by(self, *keys: str) -> tuple[str, ...]:
        """Return the models that the parts called ``keys`` need something of."""
        return used_for(frozenset[str]().union(*(self.needs.get(key, frozenset()) for key in keys)))

    def label(self, key: str) -> str:
        """Return ``objective 'reinforce-maxent'``: how messages call a part."""
        return f"{key} {self.names.get(key, '?')!r}"

    def stateful(self) -> dict[str, Any]:
        """Return the parts that have state to save, by recipe key; a part shared by two keys once."""
        found: dict[str, Any] = {}
        for key in STATEFUL:
            part = getattr(self, key)
            if hasattr(part, "state_dict") and not any(part is other for other in found.values()):
                found[key] = part
        return found


@attrs.define
class Counters:
    """How far a run is."""

    step: int = 0
    """Improvement steps done."""
    ground_step: int = 0
    """Grounding steps done, over all fits."""
    fits: int = 0
    """Groundings done."""
    sampled_tokens: int = 0
    """Tokens of completions that samplers returned."""

    @property
    def updates(self) -> int:
        """Steps of both kinds."""
        return self.step + self.ground_step

    def state_dict(self) -> dict[str, Any]:
        """Return all counts."""
        return attrs.asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value)


EVALUATE = "evaluate"
"""How the phases of the evaluation begin."""


class Clock:
    """Seconds by phase. Phases do not nest: a phase inside another is taken out of the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]
        self._running: list[tuple[str, float]] = []
        self._trained = 0.0

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block for ``name``, less what inner phases count for themselves."""
        start = time.perf_counter()
        self._inner.append(0.0)
        self._running.append((name, start))
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            inner = self._inner.pop()
            self._running.pop()
            if not self._running and not name.startswith(EVALUATE):
                self._trained += spent
            self._inner[-1] += spent
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - inner

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far, those of running phases included."""
        now, seconds = time.perf_counter(), dict(self.seconds)
        starts = [start for _, start in self._running] + [now]
        for place, (name, start) in enumerate(self._running):
            own = starts[place + 1] - start - self._inner[place + 1]
            seconds[name] = seconds.get(name, 0.0) + own
        return {"seconds": seconds, "training": self.training()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.seconds, self._trained = dict(state["seconds"]), state["training"]

    def training(self) -> float:
        """Return the seconds spent in phases that are not of the evaluation, the running one included."""
        name, start = self._running[0] if self._running else (EVALUATE, 0.0)
        return self._trained + (0.0 if name.startswith(EVALUATE) else time.perf_counter() - start)


@attrs.define(eq=False)
class Run:
    """One run: what life-cycle hooks are given."""

    parts: Parts
    schedule: Schedule
    optimizers: Optimizers
    options: RuntimeOptions
    machine: Machine
    files: RunFolder
    hooks: Any
    """The pluggy relay of the life-cycle hooks."""
    manifest: Mapping[str, Any] = attrs.field(factory=dict)
    counters: Counters = attrs.field(factory=Counters)
    clock: Clock = attrs.field(factory=Clock)
    last_checkpoint: Path | None = None
    best_checkpoint: Path | None = None
    """The last checkpoint before the best validation."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.files.path

    @property
    def processes(self) -> Processes:
        """This process and the others of the run."""
        return self.machine.processes

    def whole(self, *models: str, changed: bool = False) -> contextlib.AbstractContextManager[None]:
        """Return a block in which those of :data:`MODELS` have whole weights, where the processes divide them.

        All processes enter it (see :meth:`tgframe.runtime.shards.Shards.whole`).
        """
        return self.machine.shards.whole(*models, changed=changed)

    def record(self, phase: str, metrics: Mapping[str, Any], at: int | None = None) -> None:
        """Write one row of metrics and tell the hooks. ``at`` is the place on the phase's own axis (default: step)."""
        row = {"step": self.counters.step, "phase": phase, **metrics}
        self.files.metrics.write(row)
        at = self.counters.step if at is None else at
        self.hooks.tgframe_step_finished(run=self, step=at, phase=phase, metrics=dict(metrics))
