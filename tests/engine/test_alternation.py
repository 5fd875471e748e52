"""The loop: what happens when, and that equal runs are equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import Heard, MakeRun, Reinforce, rows
from tgframe import ComponentError, NumericError, Preferences, PreferenceSource
from tgframe.engine import saving
from tgframe.engine.alternation import Alternation
from tgframe.engine.state import Clock
from tgframe.interfaces.schedule import Evaluate, Ground, Optimizer, Optimizers, Schedule
from tgframe.runtime.checkpoint import read_checkpoint

SCHEDULE = Schedule(
    steps=6,
    ground=Ground(steps=2, every=2, until=4, completions=4),
    evaluate=Evaluate(every=3, completions=4),
)
FAST = Optimizers(Optimizer(lr=0.05), Optimizer(lr=0.05))


def test_the_order_of_a_run(make_run: MakeRun, heard: Heard) -> None:
    run = make_run(SCHEDULE, FAST)
    result = Alternation(run).result()
    ground = [[("ground", 2 * fit + 1), ("ground", 2 * fit + 2)] for fit in range(3)]
    assert heard.events == [
        ("started",),
        ("evaluate", 0),
        *ground[0],
        ("improve", 1),
        ("improve", 2),
        *ground[1],
        ("improve", 3),
        ("evaluate", 3),
        ("improve", 4),
        *ground[2],
        ("improve", 5),
        ("improve", 6),
        ("evaluate", 6),
        ("checkpoint", 6),
        ("evaluate", 6),
        ("finished",),
    ]
    assert result["scores"] == {"accuracy": {"before": 0.5, "after": 0.5}}
    assert result["cost"]["sampled_tokens"] == run.counters.sampled_tokens > 0
    assert run.parts.sampler.synced == [1, 2, 3, 4, 5, 6]


def test_equal_seeds_give_equal_metrics_and_other_seeds_others(make_run: MakeRun) -> None:
    def metrics(folder: str, seed: int) -> list[dict[str, Any]]:
        run = make_run(SCHEDULE, FAST, folder, seed=seed)
        Alternation(run).result()
        return rows(run)

    first = metrics("one", 0)
    assert metrics("two", 0) == first
    assert metrics("three", 1) != first


def test_improvement_follows_the_guidance(make_run: MakeRun) -> None:
    class CountA(PreferenceSource):
        def judge(self, rollouts: Any) -> Preferences:
            return Preferences.from_scores([[float(text.count("a")) for text in group] for group in rollouts.texts])

    schedule = Schedule(
        steps=60,
        ground=Ground(steps=40, every=20, until=40, completions=8),
        evaluate=Evaluate(every=10, completions=64),
    )
    schedule = attrs.evolve(schedule, improve=attrs.evolve(schedule.improve, completions=32))
    run = make_run(schedule, FAST, preference=CountA())
    Alternation(run).result()
    reached = [row["preference_mean"] for row in rows(run) if row["phase"] == "evaluate" and "preference_mean" in row]
    assert reached[-1] > reached[0] + 1.0


def test_patience_stops_improving_and_the_best_policy_comes_back(make_run: MakeRun) -> None:
    class Falling(PreferenceSource):
        def __init__(self) -> None:
            self.level = 0.0

        def judge(self, rollouts: Any) -> Preferences:
            self.level -= 1.0
            return Preferences.from_scores([[self.level] * rollouts.k for _ in rollouts.texts])

    schedule = Schedule(steps=50, evaluate=Evaluate(every=1, patience=3, keep="best"))
    run = make_run(schedule, FAST, preference=Falling())
    torch.nn.init.normal_(run.parts.guidance.worth.weight)
    alternation = Alternation(run)
    kept = {}
    validate = alternation.validation.validate  # type: ignore[union-attr]

    def watching() -> None:
        kept[run.counters.step] = run.parts.policy.table.detach().clone()
        validate()

    alternation.validation.validate = watching  # type: ignore[method-assign, union-attr]
    alternation.result()
    assert run.counters.step == 4
    assert torch.equal(run.parts.policy.table, kept[1])
    assert not torch.equal(kept[1], kept[4])


def test_a_checkpoint_holds_every_part_and_old_ones_go(make_run: MakeRun) -> None:
    schedule = attrs.evolve(SCHEDULE, steps=8)
    run = make_run(schedule, FAST, options={"checkpoint_every": 2, "keep_checkpoints": 2})
    Alternation(run).result()
    assert [folder.name for folder in run.files.checkpoints()] == ["step-12", "step-14"]
    state = read_checkpoint(run.files.checkpoint(14))
    assert {"policy", "guidance", "optimizer", "generators", "counters", "validation"} <= state.keys()
    assert state["counters"]["step"] == 8
    assert torch.equal(state["policy"]["table"], run.parts.policy.table)


def test_an_old_checkpoint_that_cannot_be_removed_is_told(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old ones go while the run goes on: what was in the way is told at the next checkpoint, or at the end."""
    removed: list[str] = []

    def remove(folder: Path) -> None:
        removed.append(folder.name)
        raise OSError(f"{folder.name} stays")

    monkeypatch.setattr(saving, "remove", remove)
    run = make_run(Schedule(steps=2, ground=None), FAST, options={"checkpoint_every": 1, "keep_checkpoints": 1})
    with pytest.raises(OSError, match="step-1 stays"):
        Alternation(run).result()
    assert removed == ["step-1"]
    assert not (run.folder / "result.json").exists()


def test_the_checkpoint_before_the_best_validation_can_be_kept(make_run: MakeRun) -> None:
    schedule = attrs.evolve(SCHEDULE, steps=8, evaluate=Evaluate(every=2, completions=2))

    def left(keep_best: bool) -> list[str]:
        options = {"checkpoint_every": 2, "keep_checkpoints": 1, "keep_best": keep_best}
        run = make_run(schedule, FAST, f"run-{keep_best}", options=options)
        alternation = Alternation(run)
        assert alternation.validation is not None
        means = iter([1.0, 3.0, 2.0, 2.0])
        alternation.validation._judged = lambda: (0, {"preference_mean": next(means)})  # type: ignore[method-assign]
        alternation.result()
        assert run.best_checkpoint is not None
        state = read_checkpoint(run.files.checkpoints()[-1])["validation"]
        assert state["checkpoint"] == run.best_checkpoint.name
        return [folder.name for folder in run.files.checkpoints()]

    assert left(False) == ["step-14"]
    assert left(True) == ["step-8", "step-14"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_checkpoint(make_run: MakeRun) -> None:
    class Diverging(Reinforce):
        def loss(self, step: Any) -> Any:
            loss, logs = super().loss(step)
            return (loss * float("inf") if step.rollouts.version == 2 else loss), logs

    run = make_run(SCHEDULE, FAST, objective=Diverging(), options={"checkpoint_every": 1})
    with pytest.raises(NumericError, match=r"loss of objective 'Diverging'.*improvement step 3.*step-6"):
        Alternation(run).result()
    assert not (run.folder / "result.json").exists()


def test_a_field_that_was_not_asked_for_is_an_error_that_names_part_and_field(make_run: MakeRun) -> None:
    class Forgetful(Reinforce):
        def loss(self, step: Any) -> Any:
            return step.policy_entropy.mean(), {}

    run = make_run(SCHEDULE, FAST, objective=Forgetful())
    with pytest.raises(ComponentError, match=r"objective 'Forgetful' reads `step.policy_entropy`.*`needs\(\)`"):
        Alternation(run).result()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda r: Preferences.from_scores([[float("nan")] * r.k for _ in r.texts]), "must be finite"),
        (lambda r: Preferences.from_scores([[1.0] for _ in r.texts]), r"shape \[1, 4\], but returned \[1, 1\]"),
        (lambda r: [1.0], r"but returned list"),
    ],
)
def test_a_source_that_breaks_its_promise_is_named(make_run: MakeRun, returned: Any, message: str) -> None:
    class Wrong(PreferenceSource):
        def judge(self, rollouts: Any) -> Any:
            return returned(rollouts)

    run = make_run(SCHEDULE, FAST, preference=Wrong())
    with pytest.raises((ComponentError, NumericError), match=rf"preference 'Wrong'.*{message}"):
        Alternation(run).result()


def test_clock_takes_inner_phases_out_of_outer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("tgframe.engine.state.time.perf_counter", lambda: next(times))
    clock = Clock()
    with clock.phase("outer"), clock.phase("inner"):
        pass
    assert clock.seconds == {"inner": 3.0, "outer": 7.0}
