"""Completions that are judged while the guidance is fitted: the same run, sooner, and nothing lost."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import Drawing, MakeRun, TokenWorth, rows, stop_after
from tests.engine.test_processes import CountA
from tests.together import together
from tgframe import Preferences
from tgframe.engine.alternation import Alternation
from tgframe.errors import DataError, Interrupted, NumericError
from tgframe.interfaces.schedule import Budget, Ground, GroundValidate, Improve, Optimizer, Optimizers, Schedule
from tgframe.resume import go_on
from tgframe.runtime.processes import Processes
from tgframe.testing import FakeTask, TabularPolicy

FAST = Optimizers(Optimizer(lr=0.05), Optimizer(lr=0.05))
GROUND = Ground(
    steps=4, every=2, prompts=2, completions=4, pool=6, updates=2, validate=GroundValidate(every=2, batches=1)
)
SCHEDULE = Schedule(steps=4, improve=Improve(prompts=2, completions=3), ground=GROUND)


class Watched(CountA):
    """Says from which thread it was asked, and whether the guidance was fitted meanwhile."""

    def __init__(self, fails_after: int | None = None) -> None:
        super().__init__(fails_after)
        self.aside: list[bool] = []
        self.fitted = threading.Event()

    def judge(self, rollouts: Any) -> Preferences:
        aside = threading.current_thread() is not threading.main_thread()
        self.aside.append(aside)
        if aside:  # judging ends after an update that began later
            assert self.fitted.wait(20.0), "nothing was fitted while this was judged"
        self.fitted.clear()
        return super().judge(rollouts)


class Telling(TokenWorth):
    """Tells a source that it is being fitted."""

    source: Watched

    def values(self, step: Any) -> Any:
        if self.training:
            self.source.fitted.set()
        return super().values(step)


def start(make_run: Any, folder: str, overlap: bool, resume: bool = False, **given: Any) -> Alternation:
    policy, sampler, source = TabularPolicy("abcd"), Drawing(), given.pop("preference", Watched())
    guidance = Telling(len(policy.tokenizer))
    guidance.source = source
    schedule = given.pop("schedule", SCHEDULE)
    if schedule.ground is not None:
        schedule = attrs.evolve(schedule, ground=attrs.evolve(schedule.ground, overlap=overlap))
    parts = {"policy": policy, "sampler": sampler, "ground_sampler": sampler, "guidance": guidance}
    task = FakeTask(texts=tuple(f"Prompt {row}:" for row in range(4)))
    run = make_run(schedule, FAST, folder, resume=resume, task=task, preference=source, **parts, **given)
    run.files.write_text("recipe.yaml", "")
    return Alternation(run)


def outcome(alternation: Alternation) -> dict[str, Any]:
    alternation.result()
    parts = alternation.run.parts
    return {
        "rows": rows(alternation.run),
        "policy": parts.policy.table.tolist(),  # type: ignore[attr-defined]
        "guidance": parts.guidance.worth.weight.tolist(),  # type: ignore[union-attr]
        "calls": parts.preference.calls,  # type: ignore[union-attr]
    }


def test_the_run_is_the_same_and_the_source_is_asked_meanwhile(make_run: MakeRun) -> None:
    plain, beside = start(make_run, "plain", False), start(make_run, "beside", True)
    expected, found = outcome(plain), outcome(beside)
    assert found == expected
    assert not any(plain.run.parts.preference.aside)  # type: ignore[union-attr]
    asked = beside.run.parts.preference.aside  # type: ignore[union-attr]
    fits, steps = 2, GROUND.steps
    assert asked.count(True) == fits * (steps - 1), "all but the first batch of a fit"
    assert beside.grounding is not None
    assert beside.grounding.collector.ahead is None


@pytest.mark.parametrize("at", range(1, 13))
def test_a_run_stopped_after_any_step_goes_on_exactly(make_run: MakeRun, at: int) -> None:
    expected = outcome(start(make_run, "whole", True))
    stopped = start(make_run, "stopped", True)
    stop_after(stopped, at)
    with pytest.raises(Interrupted):
        stopped.result()
    stopped.run.files.close()
    again = start(make_run, "stopped", True, resume=True)
    go_on(again, lambda _: None)
    assert outcome(again) == expected


def test_a_budget_ends_it_at_the_same_judgment(make_run: MakeRun) -> None:
    plan = attrs.evolve(SCHEDULE, ground=attrs.evolve(GROUND, validate=None), budget=Budget(preference_calls=20))
    expected, found = (outcome(start(make_run, str(overlap), overlap, schedule=plan)) for overlap in (False, True))
    assert found == expected
    assert found["calls"] == 24


def test_what_a_fit_leaves_unused_is_not_learned_from_later(make_run: MakeRun) -> None:
    """Validation ends the fit; the policy moves on, and the next fit begins with completions of its own."""
    ended = attrs.evolve(GROUND, validate=GroundValidate(every=1, patience=1), every=1, until=1, steps=3)
    alternation = start(make_run, "early", True, schedule=attrs.evolve(SCHEDULE, steps=2, ground=ended))
    grounding = alternation.grounding
    assert grounding is not None
    grounding._validate = lambda updater: 1.0  # type: ignore[method-assign]  # never better than the first
    versions: list[int] = []
    describe = grounding._describe

    def told(fresh: Any) -> dict[str, Any]:
        versions.append(fresh.rollouts.version)
        return describe(fresh)

    grounding._describe = told  # type: ignore[method-assign]
    alternation.result()
    assert versions == [0, 0, 1, 1]


def test_what_the_source_raises_is_told_as_ever(make_run: MakeRun) -> None:
    alternation = start(make_run, "failing", True, preference=Watched(fails_after=12))
    with pytest.raises(DataError, match=r"preference 'Watched': nothing is left to judge with\. It was judging prompt"):
        alternation.result()


def test_a_fit_that_fails_waits_for_the_source(make_run: MakeRun) -> None:
    alternation = start(make_run, "failing", True)
    source: Any = alternation.run.parts.preference
    parts: Any = alternation.run.parts

    def ground(step: Any, rankings: Any) -> Any:
        source.fitted.set()
        return torch.tensor(float("nan"), requires_grad=True), {}

    parts.guidance.ground = ground
    with pytest.raises(NumericError, match="grounding loss"):
        alternation.result()
    assert source.aside == [False, True], "no thread is left behind"


class Slow(CountA):
    def judge(self, rollouts: Any) -> Preferences:
        time.sleep(0.05)
        return super().judge(rollouts)


def shared(folder: Path, overlap: bool) -> Any:
    from tests.engine import test_processes as processes

    plan = attrs.evolve(processes.schedule(), ground=attrs.evolve(processes.schedule().ground, overlap=overlap))
    processes.wish(Processes.join().count > 2)
    return processes.outcome(processes.start(folder, plan, preference=Slow()))


@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_judge_ahead_too(tmp_path: Path, count: int) -> None:
    """Four of them divide the weights as well."""
    plain, beside = (together(count, shared, tmp_path / str(overlap), overlap) for overlap in (False, True))
    assert isinstance(plain[0], dict), plain
    for found, expected in zip(beside, plain, strict=True):
        assert isinstance(found, dict), found
        assert {**found, "observed": None} == {**expected, "observed": None}
