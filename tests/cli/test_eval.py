"""``tgframe eval RUN --prompt TEXT``, with a run that needs no folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tgframe import ComponentError, Evaluation, finished
from tgframe.cli.app import app
from tgframe.testing.fakes.task import FakeTask


class Measuring(FakeTask):
    """Scores a text by its length."""

    def measure(self, outputs: Sequence[str], split: str) -> Evaluation:
        lengths = [len(output) for output in outputs]
        return Evaluation({"length": sum(lengths) / len(lengths)}, details={"outputs": list(outputs)})


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that calls ``tgframe eval run`` with further words, on a run of a task."""

    def call(task: Any, *words: str) -> Result:
        parts = SimpleNamespace(
            task=task, policy=None, sampler=None, guidance=None, aggregator=None, label=lambda key: f"{key} 'mine'"
        )
        schedule = SimpleNamespace(test_split="test")
        loaded = SimpleNamespace(
            parts=parts,
            recipe=SimpleNamespace(schedule=schedule),
            context=SimpleNamespace(runtime=None, generator=lambda name: None),
        )
        monkeypatch.setattr(finished, "load", lambda folder, plugins: loaded)
        return CliRunner().invoke(app, ["eval", "run", *words])

    return call


@pytest.mark.parametrize("prompt", [" Grade", "Grade ", "", "  a  b", "{text} 'x', \"y\" = é☕", "<mask>"])
def test_a_text_is_measured_exactly_as_it_is(evaluate: Callable[..., Result], prompt: str) -> None:
    found = evaluate(Measuring(), "--prompt", prompt, "--split", "dev")
    assert found.exception is None
    assert json.loads(found.stdout) == {
        "split": "dev",
        "scores": {"length": len(prompt)},
        "details": {"outputs": [prompt]},
    }


def test_the_split_is_that_of_the_recipe(evaluate: Callable[..., Result]) -> None:
    assert json.loads(evaluate(Measuring(), "--prompt", "a").stdout)["split"] == "test"


def test_without_a_text_the_policy_is_evaluated(evaluate: Callable[..., Result]) -> None:
    assert json.loads(evaluate(Measuring()).stdout) == {"split": "test", "scores": {"accuracy": 0.5}, "details": {}}


def test_a_task_that_measures_nothing_says_so(evaluate: Callable[..., Result]) -> None:
    found = evaluate(FakeTask(), "--prompt", "a")
    assert isinstance(found.exception, ComponentError)
    assert "`--prompt` must go with a task that can measure" in str(found.exception)
    assert "task 'mine' cannot" in str(found.exception)
