"""A run that is stopped at any step and taken up again goes the way it would have gone, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import Drawing, TokenWorth, stop_after
from tests.engine.test_guidance_alone import CountA
from tgframe.engine.alternation import Alternation
from tgframe.errors import Interrupted
from tgframe.interfaces.schedule import (
    Evaluate,
    Ground,
    GroundValidate,
    Improve,
    Optimizer,
    Optimizers,
    Plateau,
    Ranking,
    Schedule,
)
from tgframe.resume import go_on
from tgframe.runtime.checkpoint import read_checkpoint
from tgframe.testing import TabularPolicy

SCHEDULE = Schedule(
    steps=5,
    improve=Improve(prompts=2, completions=3),
    ground=Ground(
        steps=4,
        every=2,
        completions=4,
        ranking=Ranking(size=2, count=3),
        pool=6,
        updates=2,
        validate=GroundValidate(every=2, batches=2),
    ),
    evaluate=Evaluate(every=2, completions=3, keep="best"),
)
FAST = Optimizers(Optimizer(lr=0.05, plateau=Plateau(patience=0)), Optimizer(lr=0.05, type="adamw", plateau=Plateau()))
UPDATES = 5 + 3 * 4
MAY_DIFFER = ("seconds", "_per_second", "_bytes")


class Dropping(TokenWorth):
    """Draws from torch's global generator while it is fitted."""

    def values(self, step: Any) -> Any:
        found = super().values(step)
        return attrs.evolve(found, values=torch.nn.functional.dropout(found.values, 0.3, self.training))


def start(make_run: Any, folder: str, resume: bool = False, **options: Any) -> Alternation:
    policy, sampler = TabularPolicy("abcd"), Drawing()
    parts = {"sampler": sampler, "ground_sampler": sampler, "preference": CountA()}
    guidance = Dropping(len(policy.tokenizer))
    run = make_run(SCHEDULE, FAST, folder, resume=resume, options=options, policy=policy, guidance=guidance, **parts)
    run.files.write_text("recipe.yaml", "")
    return Alternation(run)


def rows(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    lines = (folder / name).read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.endswith(MAY_DIFFER)} for line in lines]


def outcome(alternation: Alternation) -> dict[str, Any]:
    """Run to the end; return everything that must be the same."""
    result = alternation.result()
    run = alternation.run
    result["cost"] = {key: result["cost"][key] for key in ("sampled_tokens", "preference_calls")}
    return {
        "result": json.loads(json.dumps(result)),
        "metrics": rows(run.folder),
        "samples": rows(run.folder, "samples.jsonl"),
        "policy": {name: value.clone() for name, value in run.parts.policy.state_dict().items()},
        "guidance": {name: value.clone() for name, value in run.parts.guidance.state_dict().items()},
    }


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for part in ("policy", "guidance"):
        for name, value in expected[part].items():
            assert torch.equal(found[part][name], value), f"{part}.{name} differs"
    for part in ("metrics", "samples", "result"):
        assert found[part] == expected[part]


def resume(make_run: Any, folder: Path) -> tuple[Alternation, list[str]]:
    """Take up the run in ``folder`` in a new run folder object, as a new process would."""
    told: list[str] = []
    alternation = start(make_run, folder.name, resume=True)
    go_on(alternation, told.append)
    return alternation, told


class Killed(Exception):
    """The process is gone."""


@pytest.fixture
def uninterrupted(make_run: Any) -> dict[str, Any]:
    return outcome(start(make_run, "whole"))


def test_there_is_something_to_lose(uninterrupted: dict[str, Any]) -> None:
    phases = [row["phase"] for row in uninterrupted["metrics"]]
    assert phases.count("improve") == 5
    assert sum("grad_norm" in row for row in uninterrupted["metrics"] if row["phase"] == "ground") == 12
    assert any("validation_loss" in row for row in uninterrupted["metrics"])


@pytest.mark.parametrize("at", range(1, UPDATES + 1))
def test_a_run_stopped_after_any_step_goes_on_exactly(make_run: Any, uninterrupted: dict[str, Any], at: int) -> None:
    """Stopped as by Ctrl-C: the step is finished, a checkpoint is written."""
    stopped = start(make_run, "stopped")
    stop_after(stopped, at)
    with pytest.raises(Interrupted, match="--resume"):
        stopped.result()
    stopped.run.files.close()
    resumed, told = resume(make_run, stopped.run.folder)
    assert "Going on from" in told[0]
    assert_same(outcome(resumed), uninterrupted)


@pytest.mark.parametrize("at", [1, 4, 9, 16, 25, 29])
@pytest.mark.parametrize("every", [1, 3])
def test_a_run_killed_at_any_moment_goes_on_exactly(
    make_run: Any,
    uninterrupted: dict[str, Any],
    every: int,
    at: int,
) -> None:
    """Killed while something is sampled: mid-grounding, mid-improvement, in a validation or an evaluation."""
    killed = start(make_run, "killed", checkpoint_every=every)
    sampler, drawn = killed.run.parts.sampler, 0
    sample = sampler.sample  # type: ignore[union-attr]

    def sample_or_die(*given: Any) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn == at:
            raise Killed
        return sample(*given)

    sampler.sample = sample_or_die  # type: ignore[union-attr,method-assign]
    with pytest.raises(Killed):
        killed.result()
    with open(killed.run.folder / "metrics.jsonl", "a", encoding="utf-8") as torn:
        torn.write('{"step": 3, "phase": "impro')
    killed.run.files.close()
    resumed, told = resume(make_run, killed.run.folder)
    assert told
    assert_same(outcome(resumed), uninterrupted)


def test_writing_checkpoints_changes_nothing(make_run: Any, uninterrupted: dict[str, Any]) -> None:
    assert_same(outcome(start(make_run, "often", checkpoint_every=1)), uninterrupted)


DAMAGES: dict[str, Any] = {
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "removed": lambda content: None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(make_run: Any, damage: str) -> None:
    """Each file in turn: never a traceback, never another run than the one that was."""
    first = start(make_run, "first", checkpoint_every=2, keep_checkpoints=20)
    outcome(first)
    first.run.files.close()
    newest, before, *_ = reversed(first.run.files.checkpoints())
    for file in sorted(newest.iterdir()):
        content = file.read_bytes()
        damaged = DAMAGES[damage](content)
        file.unlink() if damaged is None else file.write_bytes(damaged)
        resumed, told = resume(make_run, first.run.folder)
        assert str(newest) in told[0], file.name
        assert told[1] == f"Going on from {str(before)!r}."
        resumed.run.files.close()
        file.write_bytes(content)
    assert read_checkpoint(newest)["loop"]["trained"]


def test_without_a_checkpoint_the_run_begins_anew(make_run: Any, uninterrupted: dict[str, Any]) -> None:
    lost = start(make_run, "lost")
    lost.scoreboard.evaluate_policy("before")
    lost.run.files.close()
    resumed, told = resume(make_run, lost.run.folder)
    assert told == [f"{str(lost.run.folder)!r} holds no whole checkpoint: the run begins anew."]
    assert_same(outcome(resumed), uninterrupted)
