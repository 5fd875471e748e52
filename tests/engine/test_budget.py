"""A budget ends training cleanly, whatever phase it is in."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.engine.conftest import MakeRun, rows
from tgframe import Preferences, PreferenceSource
from tgframe.engine.alternation import Alternation
from tgframe.engine.state import Clock
from tgframe.interfaces.schedule import Budget, Ground, Schedule


class Counting(PreferenceSource):
    """Judges by length; every completion is one call."""

    def __init__(self) -> None:
        self.judged = 0

    def judge(self, rollouts: Any) -> Preferences:
        self.judged += len(rollouts.prompts) * rollouts.k
        return Preferences.from_scores([[float(len(text)) for text in group] for group in rollouts.texts])

    @property
    def calls(self) -> int:
        return self.judged


def finished(make_run: MakeRun, budget: Budget, **parts: Any) -> tuple[Any, dict[str, Any]]:
    schedule = Schedule(steps=10, ground=Ground(steps=3, every=4, completions=5), budget=budget)
    run = make_run(schedule, preference=Counting(), **parts)
    return run, Alternation(run).result()


@pytest.mark.parametrize(("calls", "ground", "improve"), [(4, 1, 0), (10, 2, 0), (15, 3, 0), (16, 4, 4), (45, 9, 8)])
def test_calls_end_training_before_the_next_step(make_run: MakeRun, calls: int, ground: int, improve: int) -> None:
    run, result = finished(make_run, Budget(preference_calls=calls))
    steps = [row["phase"] for row in rows(run) if row["phase"] != "evaluate"]
    assert (steps.count("ground"), steps.count("improve")) == (ground, improve)
    assert result["budget_spent"] == "preference_calls"
    assert result["cost"]["preference_calls"] == 5 * ground
    assert set(result["scores"]["accuracy"]) == {"before", "after"}
    assert run.last_checkpoint is not None


def test_tokens_and_seconds_end_training(make_run: MakeRun) -> None:
    run, result = finished(make_run, Budget(sampled_tokens=1))
    assert (run.counters.ground_step, run.counters.step, result["budget_spent"]) == (1, 0, "sampled_tokens")
    run, result = finished(make_run, Budget(seconds=1e-9), folder="other")
    assert (run.counters.ground_step, run.counters.step, result["budget_spent"]) == (0, 0, "seconds")


def test_a_budget_that_is_large_enough_changes_nothing(make_run: MakeRun) -> None:
    run, result = finished(make_run, Budget(preference_calls=10**6, seconds=1e6, sampled_tokens=10**9))
    assert run.counters.step == 10
    assert result["budget_spent"] is None


def test_training_seconds_are_those_outside_the_evaluation() -> None:
    clock = Clock()
    with clock.phase("evaluate before"):
        time.sleep(0.02)
        assert clock.training() == 0
    with clock.phase("ground"):
        time.sleep(0.01)
        with clock.phase("validate"):
            time.sleep(0.01)
        inside = clock.training()
    assert 0.02 <= inside <= clock.training()
    assert clock.training() == pytest.approx(clock.seconds["ground"] + clock.seconds["validate"], abs=1e-3)
