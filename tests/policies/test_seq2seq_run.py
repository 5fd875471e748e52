"""Whole runs with an encoder-decoder policy, with a reference, loaded to be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import tgframe
from tgframe.registry.manager import load_plugins

PLUGIN = '''
import attrs

from tgframe import LMObjective, hookimpl


@attrs.frozen
class Leash(LMObjective):
    """Raises the probability of what was drawn, against the log-ratio to the reference."""

    def needs(self):
        return frozenset({"policy_logprobs", "reference_logprobs"})

    def loss(self, step):
        ratio = step.policy_logprobs - step.reference_logprobs
        loss = (ratio**2 - step.policy_logprobs)[step.rollouts.mask].mean()
        return loss, {"ratio": ratio.detach().abs().max()}


@hookimpl
def tgframe_register_tasks(register):
    register("sentences", "tgframe.testing:FakeTask")


@hookimpl
def tgframe_register_objectives(register):
    register("leash", "leash:Leash")
'''


@pytest.mark.parametrize("reference", ["initial", "adapters-off"])
def test_a_run(reference: str, seq2seq_letters: dict[str, Path], tmp_path: Path) -> None:
    if reference == "adapters-off":
        pytest.importorskip("peft", reason="an optional dependency")
    (tmp_path / "leash.py").write_text(PLUGIN)
    plugins = load_plugins(files=[tmp_path / "leash.py"])
    recipe: dict[str, Any] = {
        "task": {"type": "sentences"},
        "policy": {"type": "seq2seq", "model": str(seq2seq_letters["bart"]), "gradient_checkpointing": True},
        "objective": {"type": "leash"},
        "sampler": {"type": "sample", "max_new_tokens": 4},
        "reference": {"type": reference},
        "schedule": {"steps": 3, "improve": {"prompts": 2, "completions": 3}},
        "optimizer": {"policy": {"lr": 0.01}},
        "runtime": {"tensorboard": False, "device": "cpu"},
    }
    if reference == "adapters-off":
        recipe["policy"]["lora"] = {"r": 2, "modules": ["q_proj"]}
    folder = tgframe.run(recipe, output=tmp_path / "run", plugins=plugins)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    ratios = [row["ratio"] for row in rows if "ratio" in row]
    assert ratios[0] < 1e-5, "policy and reference start the same"
    assert ratios[-1] > 1e-4
    loaded = tgframe.load(folder, plugins=plugins)
    prompts = loaded.policy.encode(["a prompt"], ["0"])
    scores = loaded.policy.score(loaded.policy.complete(prompts, [["yes"]]))
    assert torch.isfinite(scores.logprobs).all()
