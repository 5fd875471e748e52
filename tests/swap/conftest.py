"""Plugins for swap tests, and run folders written by hand: most of what a swap does needs no run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tgframe.recipe.dump import dump_recipe
from tgframe.registry import manager
from tgframe.registry.manager import Plugins, load_plugins
from tgframe.swap.parsing import make_request
from tgframe.swap.plan import Plan, make_plan

TOYS = Path(__file__).with_name("toys.py")
RECIPE = """\
task: {type: skill}
policy: {type: table}
sampler: {type: plain}
objective: {type: likely}
schedule: {steps: 1, improve: {completions: 2}}
runtime: {device: cpu, precision: fp32, tensorboard: false}
"""

MakePlan = Callable[..., Plan]
WriteRun = Callable[..., Path]


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager, "discover", list)
        return load_plugins(blocked=(), files=[TOYS])


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy recipe, in a fresh working directory."""
    monkeypatch.chdir(tmp_path)
    Path("toy.yaml").write_text(RECIPE, encoding="utf-8")
    return Path("toy.yaml")


@pytest.fixture
def plan(recipe: Path, plugins: Plugins) -> MakePlan:
    """``plan("task.rights=10,14", seeds="3", …)`` plans a swap of the toy recipe."""

    def plan(*vary: str, overrides: Sequence[str] = (), seeds: str = "2", **options: Any) -> Plan:
        return make_plan(make_request(recipe, overrides, vary, seeds, **options), plugins)

    return plan


@pytest.fixture
def write_run() -> WriteRun:
    """Write a finished run folder, as an uninterrupted run of ``resolved`` leaves it."""

    def write_run(
        folder: Path,
        resolved: Mapping[str, Any],
        scores: Mapping[str, Mapping[str, float | None]],
        items: Sequence[Mapping[str, Any]] = (),
        data: Any = None,
        **cost: float,
    ) -> Path:
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(dump_recipe(resolved), encoding="utf-8")
        (folder / "manifest.json").write_text(json.dumps({"data": data}), encoding="utf-8")
        lines = [json.dumps({"system": "after", "split": "test", **item}) + "\n" for item in items]
        (folder / "eval.jsonl").write_text("".join(lines), encoding="utf-8")
        result = {"scores": scores, "cost": {"seconds": 1.0, "preference_calls": 7, **cost}}
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
        return folder

    return write_run
