"""Whole runs with tiny models: grounded in ROUGE and METEOR, improved, evaluated, loaded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tgframe
from tgframe.cli.app import app
from tgframe.testing import write_tiny_model

pytest.importorskip("tgframe_tlg")


def recipe(folder: Path, policy: Any = "causal", objective: str = "reinforce-maxent") -> dict[str, Any]:
    """Return a recipe over twelve rows, a third of them with one target, the others with two."""
    rows = [{"source": f"Number {row}.", "target": ["ab", "ab ab"][: 1 + bool(row % 3)]} for row in range(12)]
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = str(write_tiny_model(folder / "model", policy))
    return {
        "task": {
            "type": "summarization",
            "data": {"type": "files", "train": str(data), "test": str(data)},
            "decode": {"type": "greedy", "max_new_tokens": 8},
            "suffix": " TL;DR:",
            "dev_share": 0.25,
        },
        "policy": {"type": policy, "model": model},
        "sampler": {"type": "top-k", "top_k": 50, "max_new_tokens": 6},
        "preference": {
            "type": "weighted-sum",
            "sources": {"rouge": {"type": "rouge", "weights": {"rouge1": 0.4, "rougeL": 0.6}}, "meteor": "meteor"},
        },
        "guidance": {"type": "learned", "model": model},
        "aggregator": {"type": "mean"},
        "objective": {"type": objective},
        "schedule": {
            "steps": 2,
            "improve": {"prompts": 2, "completions": 3},
            "ground": {"steps": 2, "prompts": 2, "completions": 3, "validate": {"every": 1}},
            "evaluate": {"every": 1, "completions": 2},
        },
        "runtime": {"device": "cpu", "tensorboard": False},
    }


def test_a_run_from_grounding_to_evaluation(tmp_path: Path) -> None:
    folder = tgframe.run(recipe(tmp_path), output=tmp_path / "run")
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert set(result["scores"]) == {"rouge1", "rouge2", "rougeL", "rougeLsum", "meteor"}
    assert all(set(systems) == {"before", "after", "lead"} for systems in result["scores"].values())
    assert result["details"]["after"]["training"]["rows"] > 0
    items = [json.loads(line) for line in (folder / "eval.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(item["system"], len(item["targets"])) for item in items} >= {("lead", 1), ("after", 2)}
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["data"]["rows"]["train"] == 9
    told = CliRunner().invoke(app, ["eval", str(folder), "--split", "dev"])
    assert told.exception is None
    assert json.loads(told.stdout)["details"]["rows"] == 3
    assert json.loads(told.stdout)["details"]["training"] == result["details"]["after"]["training"]


@pytest.mark.parametrize("policy", ["causal", "seq2seq"])
def test_targets_are_learned_by_what_guidance_makes_of_them(tmp_path: Path, policy: str) -> None:
    given = recipe(tmp_path, policy, "reward-weighted-mle")
    given["schedule"] |= {"steps": 12, "improve": {"prompts": 6}, "evaluate": None}
    given["optimizer"] = {"policy": {"lr": 1e-2}}
    folder = tgframe.run(given, output=tmp_path / "run")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [row["loss"] for row in rows if row["phase"] == "improve"]
    assert losses[-1] < 0.6 * losses[0]
