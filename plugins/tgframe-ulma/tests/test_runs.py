"""Whole runs on rows with completions, and recipes that do not fit together."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import tgframe
from tgframe import RecipeError
from tgframe.testing import write_tiny_model

pytest.importorskip("tgframe_preferences")

LABELS = {"type": "dataset", "column": "labels", "demonstrations": True}
IMPLICIT = {"type": "implicit", "beta": 0.1}


def recipe(folder: Path, objective: Any, **sections: Any) -> dict[str, Any]:
    """Return a recipe over twelve pairs in which "yes" is better than "no"."""
    rows = [{"prompt": f"Is it {number}?", "chosen": " yes", "rejected": " no"} for number in range(12)]
    data = folder / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = {
        "task": {"type": "preferences", "data": {"type": "files", "train": str(data)}, "folds": {"parts": 4}},
        "policy": {"type": "causal", "model": str(write_tiny_model(folder / "model"))},
        "sampler": {"type": "dataset"},
        "preference": LABELS,
        "guidance": IMPLICIT,
        "reference": {"type": "initial"},
        "aggregator": {"type": "sum"},
        "objective": objective,
        "optimizer": {"policy": {"lr": 3e-3}},
        "schedule": {"steps": 6, "improve": {"prompts": 4, "completions": 2}},
        "runtime": {"device": "cpu", "tensorboard": False},
    }
    return {key: value for key, value in {**given, **sections}.items() if value is not None}


def run(folder: Path, objective: Any, **sections: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the metrics of every improvement step, and the scores."""
    output = tgframe.run(recipe(folder, objective, **sections), output=folder / "run")
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return [row for row in rows if row["phase"] == "improve"], result["scores"]


def test_dpo_learns_which_reply_is_better(tmp_path: Path) -> None:
    steps, scores = run(tmp_path, "dpo", preference="dataset")
    assert steps[0]["loss"] == pytest.approx(math.log(2.0), abs=1e-6), "at the start policy and reference are one"
    assert steps[0]["pair_accuracy"] == 0.5
    assert steps[-1]["loss"] < 0.6
    assert (steps[-1]["pairs"], steps[-1]["missing"]) == (4.0, 0.0)
    assert scores["pairwise_accuracy"]["before"] == 0.5
    assert scores["pairwise_accuracy"]["after"] == 1.0


def test_ulma_learns_with_a_constant_for_each_prompt(tmp_path: Path) -> None:
    steps, scores = run(
        tmp_path, {"type": "ulma", "partition": "per-prompt"}, aggregator={"type": "mean", "length": "none"}
    )
    assert steps[0]["partition"] == 0.0
    assert steps[-1]["partition"] != 0.0
    assert (steps[0]["demonstrations"], steps[0]["positives"], steps[0]["negatives"]) == (4.0, 4.0, 4.0)
    assert steps[-1]["nll_demonstration"] < steps[0]["nll_demonstration"]
    assert scores["auc"]["after"] == 1.0
    loaded = tgframe.load(tmp_path / "run")
    assert loaded.parts.objective.partition.slow.abs().min() > 0


def test_implicit_rewards_are_evaluated_though_sft_learns_from_none(tmp_path: Path) -> None:
    steps, scores = run(tmp_path, "sft")
    assert "margin" not in steps[0]
    assert scores["pairwise_accuracy"]["before"] == 0.5
    assert "after" in scores["pairwise_accuracy"]


@pytest.mark.parametrize(
    ("objective", "sections", "told"),
    [
        ("pointwise-dpo", {"preference": {"type": "dataset"}}, "must provide `label` for objective 'pointwise-dpo'"),
        ("ulma", {"preference": {**LABELS, "demonstrations": False}}, "'ulma' needs `demonstration`"),
        ("dpo", {"guidance": None, "reference": None}, "'dpo' needs `differentiable`"),
        ("dpo", {"reference": None}, "'implicit' needs `reference_logprobs`"),
        ("unlikelihood", {"preference": {"type": "dataset"}, "guidance": None, "reference": None}, "provide `label`"),
        (
            {"type": "pointwise-dpo", "labels": "continuous", "partition": {"type": "monte-carlo", "beta": 0.1}},
            {},
            "sampler 'dataset' must provide `exact`",
        ),
        (
            {
                "type": "ulma",
                "labels": "continuous",
                "partition": {"type": "monte-carlo", "beta": 0.1, "draws": "reference"},
            },
            {"aggregator": {"type": "mean", "length": "none"}},
            "aggregator 'mean' must provide `length:sum`",
        ),
        ({"type": "pointwise-dpo", "partition": "perprompt"}, {}, "Did you mean 'per-prompt'"),
        ({"type": "ulma", "demonstrations": {"type": "at-least", "label": 0.0}}, {}, "must be above 0 and at most 1"),
        ("ulma", {"aggregator": "mean"}, "aggregator 'mean' must provide `linear` for objective 'ulma'"),
    ],
)
def test_what_does_not_fit_is_told_before_the_run(tmp_path: Path, objective: Any, sections: Any, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        tgframe.run(recipe(tmp_path, objective, **sections), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
