"""A whole run of small parts: every part real, every model a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pluggy
import pytest
import torch
from torch import nn

from tgframe import Guidance, GuidanceModel, Limits, LMObjective, Sampler
from tgframe.engine.alternation import Alternation
from tgframe.engine.state import Parts, Run
from tgframe.interfaces.schedule import Optimizers, RuntimeOptions, Schedule
from tgframe.registry import hookspecs
from tgframe.runtime.machine import Machine
from tgframe.runtime.processes import ALONE, Processes
from tgframe.runtime.run_folder import RunFolder
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.preference import FixedPreference
from tgframe.testing.fakes.sampler import PlainDraw
from tgframe.testing.fakes.step import PlainSum
from tgframe.testing.fakes.task import FakeTask


class TokenWorth(nn.Module, GuidanceModel):
    """Learned guidance: one value a token of the vocabulary."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.worth = nn.Embedding(size, 1)
        nn.init.zeros_(self.worth.weight)
        self.modes: list[bool] = []

    def values(self, step: Any) -> Guidance:
        self.modes.append(self.training)
        mask = step.rollouts.mask
        return Guidance(self.worth(step.rollouts.tokens).squeeze(-1) * mask, mask)

    def trainable(self) -> list[nn.Parameter]:
        return list(self.parameters())


class Drawing(Sampler):
    """Plain draws of at most eight tokens; counts what it hears."""

    def __init__(self) -> None:
        self.observed = 0
        self.synced: list[int] = []

    def sample(self, policy: Any, prompts: Any, k: int, generator: torch.Generator) -> Any:
        rollouts = policy.sample(prompts, k, PlainDraw(), Limits(8), generator)
        return attrs.evolve(rollouts, exact=True)

    def observe(self, rollouts: Any, preferences: Any) -> None:
        self.observed += 1

    def sync(self, policy: Any, monitors: Any) -> None:
        self.synced.append(policy.version)


@attrs.frozen
class Reinforce(LMObjective):
    """Values times log-probabilities."""

    def needs(self) -> frozenset[str]:
        return frozenset({"guidance", "policy_logprobs"})

    def loss(self, step: Any) -> Any:
        values = step.guidance.values - step.guidance.values.mean()
        return -(values * step.policy_logprobs)[step.rollouts.mask].mean(), {"value": values.mean()}


class Heard:
    """Remembers the life cycle."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    @hookspecs.hookimpl
    def tgframe_run_started(self, run: Any) -> None:
        self.events.append(("started",))

    @hookspecs.hookimpl
    def tgframe_step_finished(self, step: int, phase: str, metrics: Any) -> None:
        self.events.append((phase, step))

    @hookspecs.hookimpl
    def tgframe_checkpoint_saved(self, step: int, path: Path) -> None:
        self.events.append(("checkpoint", step))

    @hookspecs.hookimpl
    def tgframe_run_finished(self, result: Any) -> None:
        self.events.append(("finished",))


MakeRun = Callable[..., Run]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def run_in(
    folder: Path,
    schedule: Schedule | None = None,
    optimizers: Optimizers | None = None,
    resume: bool = False,
    heard: Heard | None = None,
    processes: Processes = ALONE,
    **given: Any,
) -> Run:
    """Make a run that writes to ``folder``; parts are replaced by keyword."""
    machine = Machine.create(given.pop("seed", 0), "cpu", "fp32", processes)
    options = RuntimeOptions(**given.pop("options", {}))
    policy = TabularPolicy("abcd")
    sampler = Drawing()
    parts: dict[str, Any] = {
        "task": FakeTask(),
        "policy": policy,
        "objective": Reinforce(),
        "sampler": sampler,
        "ground_sampler": sampler,
        "preference": FixedPreference(),
        "guidance": TokenWorth(len(policy.tokenizer)),
        "aggregator": PlainSum(),
    }
    parts |= given
    needs = {key: parts[key].needs() for key in ("objective", "guidance") if parts[key] is not None}
    names = {key: type(part).__name__ for key, part in parts.items() if part is not None}
    manager = pluggy.PluginManager("tgframe")
    manager.add_hookspecs(hookspecs)
    manager.register(heard or Heard())
    return Run(
        Parts(**parts, needs=needs, names=names),
        schedule or Schedule(steps=2),
        optimizers or Optimizers(),
        options,
        machine,
        RunFolder.create(folder, resume, machine.is_main),
        manager.hook,
    )


def stop_after(alternation: Alternation, at: int | None, here: bool = True) -> None:
    """Ask the run to stop, as Ctrl-C does, in its step ``at`` of either kind; not ``here``: some other process is."""
    asked_before, count = alternation.saver.after_step, 0

    def after_step() -> None:
        nonlocal count
        count += 1
        alternation.saver._stop = count == at and here
        asked_before()

    alternation.saver.after_step = after_step  # type: ignore[method-assign]
    if alternation.grounding is not None:
        alternation.grounding._after_step = after_step


@pytest.fixture
def make_run(tmp_path: Path, heard: Heard) -> Iterator[MakeRun]:
    """Return a function that makes a run; parts, schedule and optimizers can be replaced by keyword."""
    opened: list[RunFolder] = []

    def make(
        schedule: Schedule | None = None, optimizers: Optimizers | None = None, folder: str = "run", **given: Any
    ) -> Run:
        run = run_in(tmp_path / folder, schedule, optimizers, heard=heard, **given)
        opened.append(run.files)
        return run

    yield make
    for files in opened:
        files.close()


def rows(run: Run) -> list[dict[str, Any]]:
    """Return the metrics written so far."""
    import json

    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
