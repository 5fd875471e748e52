"""Writes ``swap.json`` and ``swap.csv``."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from tgframe.runtime.files import write_json, write_text
from tgframe.swap.cells import Cell
from tgframe.swap.comparing import comparisons, summary
from tgframe.swap.lock import SUMMARY
from tgframe.swap.plan import Plan
from tgframe.swap.results import Results

_COSTS = ("seconds", "training_seconds", "sampled_tokens", "preference_calls", "peak_memory_bytes")
_PACKAGES = ("tgframe", "torch", "transformers", "datasets", "accelerate", "numpy", "scipy")


def write_record(results: Results, output: Path) -> dict[str, Any]:
    """Write both files, each in one rename, and return what ``swap.json`` holds."""
    found = record(results)
    write_json(output / SUMMARY, found)
    write_text(output / "swap.csv", _csv(results))
    return found


def record(results: Results) -> dict[str, Any]:
    """Return what ``swap.json`` holds."""
    plan, request = results.plan, results.plan.request
    return {
        "recipe": request.recipe.name,
        "overrides": list(request.overrides),
        "mode": "one-at-a-time" if request.one_at_a_time else "product",
        "seeds": list(request.seeds),
        "budget": dict(request.budget) or None,
        "vary": [{"key": vary.key, "values": [value.text for value in vary.values]} for vary in request.vary],
        "versions": _versions(plan),
        "machine": f"{platform.machine()}, {platform.system()}",
        "cells": [
            {
                "id": cell.id,
                "settings": dict(cell.settings),
                "baseline": cell.baseline,
                "runs": [_run(results, cell, seed) for seed in request.seeds],
            }
            for cell in plan.cells
        ],
        "summary": summary(results),
        "comparisons": comparisons(results),
    }


def _versions(plan: Plan) -> dict[str, str]:
    return {**{name: metadata.version(name) for name in _PACKAGES}, **plan.distributions}


def _run(results: Results, cell: Cell, seed: int) -> dict[str, Any]:
    found = results.of(cell, seed)
    cost = found.result.get("cost", {})
    return {
        "seed": seed,
        "folder": cell.run_folder(seed),
        "status": found.status,
        "error": found.error,
        "scores": found.result.get("scores", {}),
        "cost": {name: cost.get(name) for name in _COSTS},
    }


def _csv(results: Results) -> str:
    """Return a row for each cell, seed, metric and system; a run that has no score has one row without."""
    keys = [vary.key for vary in results.plan.request.vary]
    names = ["cell", *keys, "seed", "status", "metric", "system", "score", *_COSTS]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    for cell in results.plan.cells:
        for seed in results.plan.request.seeds:
            run = _run(results, cell, seed)
            same = {"cell": cell.id, **cell.settings, "seed": seed, "status": run["status"], **run["cost"]}
            writer.writerows({**same, **row} for row in _scores(run["scores"]))
    return stream.getvalue()


def _scores(scores: dict[str, dict[str, float]]) -> Iterator[dict[str, Any]]:
    if not scores:
        yield {}
    for metric, systems in scores.items():
        for system, score in systems.items():
            yield {"metric": metric, "system": system, "score": score}
