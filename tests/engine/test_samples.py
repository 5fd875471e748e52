"""What a row of samples.jsonl says."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import MakeRun
from tgframe import Guidance, Preferences
from tgframe.engine.samples import LIMIT, write_samples
from tgframe.interfaces.step import Step
from tgframe.testing import make_rollouts

ROLLOUTS = make_rollouts((("ab", "d"), ("c", "c")), ("one?", "two?"))


def row(run: Any) -> Any:
    (line,) = (run.folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(line)


def test_a_row_is_of_the_first_prompt(make_run: MakeRun) -> None:
    run = make_run()
    run.counters.step, run.counters.ground_step = 3, 4
    write_samples(run, "improve", Step(ROLLOUTS.prompts).with_fields(rollouts=ROLLOUTS))
    found = row(run)
    completions = found.pop("completions")
    assert found == {"step": 3, "ground_step": 4, "phase": "improve", "prompt_id": "prompt-0", "prompt": "one?"}
    assert [completion["text"] for completion in completions] == ["ab", "d"]
    assert completions[0].keys() == {"text", "tokens"}


def test_guidance_and_preferences_stand_beside_each_completion(make_run: MakeRun) -> None:
    marked = ROLLOUTS.mask.clone()
    marked[0, 0, 0] = False
    guidance = Guidance(torch.arange(12.0).reshape(2, 2, 3) / 3 * marked, marked)
    step = Step(ROLLOUTS.prompts).with_fields(
        rollouts=ROLLOUTS, guidance=guidance, preferences=Preferences.from_scores([[0.1, None], [1.0, 2.0]])
    )
    run = make_run()
    write_samples(run, "ground", step)
    first, second = row(run)["completions"]
    assert first["guidance"] == [None, 0.33333, 0.66667]
    assert first["aggregate"] == 1.0
    assert (first["preference"], second["preference"]) == (0.1, None)
    assert second["guidance"] == [1.0, 1.33333]
    assert "preferences" not in first


def test_sources_of_preferences_are_named_one_below_the_other(make_run: MakeRun) -> None:
    deep = Preferences.from_scores([[5.0, None], [1.0, 1.0]])
    inner = attrs.evolve(Preferences.from_scores([[3.0, 4.0], [1.0, 1.0]]), sources={"deep": deep})
    outer = attrs.evolve(Preferences.from_scores([[1.0, 2.0], [1.0, 1.0]]), sources={"inner": inner, "last": deep})
    run = make_run()
    write_samples(run, "improve", Step(ROLLOUTS.prompts).with_fields(rollouts=ROLLOUTS, preferences=outer))
    first, second = row(run)["completions"]
    assert (first["preference"], first["preferences"]) == (1.0, {"inner": 3.0, "inner/deep": 5.0, "last": 5.0})
    assert (second["preference"], second["preferences"]) == (2.0, {"inner": 4.0, "inner/deep": None, "last": None})


@pytest.mark.parametrize("k", [LIMIT - 1, LIMIT + 1])
def test_a_row_has_a_limit(make_run: MakeRun, k: int) -> None:
    rollouts = make_rollouts([["a"] * k])
    run = make_run()
    write_samples(run, "improve", Step(rollouts.prompts).with_fields(rollouts=rollouts))
    assert len(row(run)["completions"]) == min(k, LIMIT)
