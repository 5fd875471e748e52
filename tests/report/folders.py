"""Run folders and swap folders, written by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SCORES = {"accuracy": {"before": 0.6325, "after": 0.7096874999999999, "top3": 0.7400000000000001, "lead": None}}
COST = {
    "seconds": 240.089,
    "training_seconds": 158.69,
    "phase_seconds": {"ground": 136.129, "evaluate before": 6.569},
    "sampled_tokens": 21040,
    "preference_calls": 29280,
    "peak_memory_bytes": 971649024,
}


def completion(text: str = "a good day", guidance: Sequence[float | None] | None = None, **fields: Any) -> Row:
    """Return a completion whose tokens are the words of ``text``."""
    words = text.split(" ")
    tokens = [words[0], *(f" {word}" for word in words[1:])]
    if guidance is None:
        guidance = [round(0.1 * index, 5) for index in range(len(tokens))]
    return {"text": text, "tokens": tokens, "guidance": list(guidance), **fields}


def sample(*completions: Row, step: int = 0, ground_step: int = 1, phase: str = "ground", prompt: str = "Say:") -> Row:
    """Return a row of samples.jsonl."""
    return {
        "step": step,
        "ground_step": ground_step,
        "phase": phase,
        "prompt_id": "prompt-0",
        "prompt": prompt,
        "completions": list(completions),
    }


def group(**fields: Any) -> Row:
    """Return a row with three judged completions; the guidance orders the last two the wrong way."""
    return sample(
        completion("worst of all", aggregate=0.5, preference=-1.0),
        completion("the best one", aggregate=0.9, preference=2.5),
        completion("a middling thing", aggregate=0.2, preference=0.0),
        **fields,
    )


def ground(step: int, ground_step: int, fit: int, preference: float, accuracy: float = 0.75) -> Row:
    """Return a grounding row of metrics.jsonl."""
    return {
        "step": step,
        "phase": "ground",
        "ground_step": ground_step,
        "fit": fit,
        "pairwise_accuracy": accuracy,
        "kendall_tau": 2 * accuracy - 1,
        "preference_mean": preference,
        "preference_best": preference + 1,
        "loss": 1 / ground_step,
    }


def improve(step: int, loss: float = 0.5) -> Row:
    """Return an improvement row of metrics.jsonl."""
    return {"step": step, "phase": "improve", "loss": loss - 0.01 * step, "entropy": 5 - 0.1 * step}


METRICS = [
    *(ground(0, index, 1, 10 + index) for index in range(1, 4)),
    *(improve(step) for step in range(1, 11)),
    *(ground(10, index, 2, 20 + index) for index in range(4, 7)),
    *(improve(step) for step in range(11, 21)),
    {"step": 10, "phase": "evaluate", "split": "dev", "preference_mean": 15.0, "preference_best": 18.0},
    {"step": 0, "phase": "evaluate", "system": "before", "split": "test", "accuracy": 0.6325},
]
SAMPLES = [group(ground_step=1), group(step=5, ground_step=3, phase="improve"), group(step=15, ground_step=6)]


def evaluation(item: int, system: str, rouge: float | None = None, text: str | None = None, **fields: Any) -> Row:
    """Return a row of eval.jsonl: what a system wrote, beside what it should have written."""
    said = f"{system} says this of the article number {item}" if text is None else text
    target = f"what a good summary of number {item} says"
    return {"system": system, "split": "test", "id": f"id-{item}", "summary": said, "targets": [target], **fields} | (
        {} if rouge is None else {"rouge1": rouge, "meteor": 0.5}
    )


def evaluations(changes: Sequence[float]) -> list[Row]:
    """Return the rows of an item for each change of the first score: ``before``, ``after`` and ``lead``."""
    worth = {
        "before": [0.5] * len(changes),
        "after": [0.5 + change for change in changes],
        "lead": [0.25] * len(changes),
    }
    return [evaluation(item, system, rouge) for system, scores in worth.items() for item, rouge in enumerate(scores)]


def write_run(
    folder: Path,
    samples: Sequence[Row] = SAMPLES,
    metrics: Sequence[Row] = METRICS,
    scores: Any = SCORES,
    finished: bool = True,
) -> Path:
    """Write a run folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text("task: {type: toy}\nruntime: {seed: 7}\n")
    component = {"name": "mean", "distribution": "tgframe", "version": "0.1.0"}
    manifest = {"seed": 7, "device": "cpu", "packages": {"tgframe": "0.1.0"}, "components": {"aggregator": component}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_rows(folder / "metrics.jsonl", metrics)
    write_rows(folder / "samples.jsonl", samples)
    if finished:
        result = {"split": "test", "seed": 7, "scores": scores, "details": {}, "cost": COST}
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def swap_record(cells: int = 3, seeds: int = 4, failed: Sequence[tuple[int, int]] = ()) -> Row:
    """Return what swap.json holds: ``cells`` values of one option; ``failed`` are pairs of cell and seed."""
    names = [f"lr={index}" for index in range(cells)]
    score = random.Random(1).random
    made = [
        {
            "id": name,
            "settings": {"optimizer.policy.lr": str(index)},
            "baseline": index == 0,
            "runs": [_swap_run(name, seed, (index, seed) in failed, 0.5 + 0.3 * score()) for seed in range(seeds)],
        }
        for index, name in enumerate(names)
    ]
    return {
        "recipe": "toy.yaml",
        "overrides": ["runtime.device=cpu"],
        "mode": "product",
        "seeds": list(range(seeds)),
        "budget": {"preference_calls": 20000},
        "vary": [{"key": "optimizer.policy.lr", "values": [str(index) for index in range(cells)]}],
        "versions": {"tgframe": "0.1.0"},
        "machine": "x86_64, Linux",
        "cells": made,
        "summary": [_summary(cell, system) for system in ("before", "after") for cell in made],
        "comparisons": [_comparison(cell, index) for index, cell in enumerate(made) if index],
    }


def _swap_run(cell: str, seed: int, failed: bool, score: float) -> Row:
    return {
        "seed": seed,
        "folder": f"cells/{cell}/seed-{seed}",
        "status": "failed" if failed else "done",
        "error": "NumericError: <b>nan</b> & more" if failed else None,
        "scores": {} if failed else {"accuracy": {"before": 0.4, "after": score}},
        "cost": {} if failed else {"training_seconds": 100 * score, "preference_calls": 30160},
    }


def _summary(cell: Row, system: str) -> Row:
    scores = [run["scores"]["accuracy"][system] for run in cell["runs"] if run["scores"]]
    mean = sum(scores) / len(scores) if scores else None
    interval = None if mean is None else [mean - 0.1, mean + 0.1]
    counts = {"n": len(scores), "failed": len(cell["runs"]) - len(scores)}
    return {"metric": "accuracy", "system": system, "cell": cell["id"], **counts, "mean": mean, "interval": interval}


def _comparison(cell: Row, index: int) -> Row:
    difference = 0.0123456 * index
    return {
        "metric": "accuracy",
        "system": "after",
        "cell": cell["id"],
        "against": "lr=0",
        "n": 4,
        "difference": difference,
        "t_interval": [difference - 0.02, difference + 0.02],
        "bootstrap_interval": [difference - 0.015, difference + 0.015],
        "p": 0.0125,
        "smallest_p": 0.125,
        "p_corrected": 0.0375 if index == 1 else 0.5,
        "effect_size": 0.4321,
        "identical": False,
        "note": "1 of 4 seeds failed in a cell" if index == 2 else None,
    }


def write_swap(folder: Path, record: Row) -> Path:
    """Write a swap folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "swap.json").write_text(json.dumps(record))
    return folder
