"""Runs that fit guidance and improve nothing, and tasks that hold guidance against data."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import Heard, MakeRun, rows
from tgframe import ComponentError, Evaluation, Preferences, PreferenceSource
from tgframe.engine.alternation import Alternation
from tgframe.engine.evaluation import evaluated
from tgframe.interfaces.schedule import Ground, Optimizer, Optimizers, Schedule
from tgframe.runtime.checkpoint import read_checkpoint
from tgframe.testing.fakes.task import FakeTask

FAST = Optimizers(Optimizer(lr=0.05), Optimizer(lr=0.05))
ALONE = Schedule(steps=0, ground=Ground(steps=30, completions=8))


class CountA(PreferenceSource):
    """Prefers completions with many a."""

    def judge(self, rollouts: Any) -> Preferences:
        return Preferences.from_scores([[float(text.count("a")) for text in group] for group in rollouts.texts])


@attrs.frozen
class HoldsGuidance(FakeTask):
    """Asks whether ``aa`` is worth more than ``bb``."""

    name: str = "a_over_b"
    """The score's name."""

    def evaluate_guidance(self, worth: Any, policy: Any, sampler: Any, split: str, generator: Any) -> Evaluation:
        prompts = policy.encode(["c"], ["given"])
        found = worth(policy.complete(prompts, [["aa", "bb"]]))
        assert found.shape == (1, 2)
        assert not found.requires_grad
        margin = float(found[0, 0] - found[0, 1])
        return Evaluation({self.name: float(margin > 0)}, [{"margin": margin}], {"asked": split})


def test_guidance_is_fitted_without_an_objective(make_run: MakeRun, heard: Heard) -> None:
    run = make_run(ALONE, FAST, objective=None, task=HoldsGuidance(), preference=CountA())
    before = {name: value.clone() for name, value in run.parts.policy.state_dict().items()}
    result = Alternation(run).result()
    assert result["scores"]["a_over_b"] == {"before": 0.0, "after": 1.0}
    assert result["scores"]["accuracy"] == {"before": 0.5, "after": 0.5}
    assert result["details"]["after"] == {"asked": "test"}
    assert [event[0] for event in heard.events if event[0] == "improve"] == []
    assert ("checkpoint", 0) in heard.events
    after = run.parts.policy.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "the policy stays as it was"


def test_the_checkpoint_holds_the_fitted_guidance(make_run: MakeRun) -> None:
    run = make_run(ALONE, FAST, objective=None, preference=CountA())
    Alternation(run).result()
    state = read_checkpoint(run.last_checkpoint)
    assert torch.equal(state["guidance"]["worth.weight"], run.parts.guidance.worth.weight)
    assert "optimizer" not in state


def test_items_of_both_evaluations_are_written(make_run: MakeRun) -> None:
    import json

    run = make_run(ALONE, FAST, objective=None, task=HoldsGuidance(), preference=CountA())
    Alternation(run).result()
    lines = (run.folder / "eval.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["system"] for line in lines] == ["before", "after"]
    systems = [row for row in rows(run) if "system" in row]
    assert [row["a_over_b"] for row in systems] == [0.0, 1.0]


def test_a_task_without_an_opinion_on_guidance_says_nothing_of_it(make_run: MakeRun) -> None:
    run = make_run(ALONE, objective=None)
    found = evaluated(run.parts, run.machine, "test", torch.Generator())
    assert found.scores == {"accuracy": 0.5}


def test_without_guidance_nothing_is_asked(make_run: MakeRun) -> None:
    run = make_run(Schedule(steps=1), task=HoldsGuidance(), guidance=None)
    assert evaluated(run.parts, run.machine, "test", torch.Generator()).scores == {"accuracy": 0.5}


def test_two_scores_of_one_name_are_refused(make_run: MakeRun) -> None:
    run = make_run(ALONE, objective=None, task=HoldsGuidance(name="accuracy"))
    with pytest.raises(ComponentError, match=r"HoldsGuidance.*one name: \['accuracy'\]"):
        evaluated(run.parts, run.machine, "test", torch.Generator())
