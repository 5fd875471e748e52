"""Every component of the repository has a contract test, and that test notices what can go wrong with any part.

The contract tests of all plugins are run once more in another process, where mistakes are planted in the parts that
they build (see mutations.py): shuffled completions, altered padding, noise without a seed. The law that forbids the
mistake must then break. A contract whose examples cannot show a mistake is found here.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testing.mutations import MUTATIONS
from tgframe.registry.manager import load_plugins

ROOT = Path(__file__).parents[2]
OUR_OWN = ("testing", "plugins_example", "scaffold")
"""Folders of tests/ whose contracts are those of stand-ins."""

UNCOVERED: dict[str, str] = {}
"""Component without a contract test, and why there cannot be one."""

UNSEEN: dict[tuple[str, str], str] = {
    ("tgframe.builtin.samplers:Greedy", "shuffled-k"): "all completions of a prompt are the same",
    ("tgframe_tlg.objectives.mle:MLE", "shuffled-k"): "it reads the targets, and no completion that was drawn",
    ("tgframe_tlg.objectives.reward_weighted_mle:RewardWeightedMLE", "shuffled-k"): "the same",
    ("tgframe_prompts.task:PromptClassification", "shuffled-k"): "there is but one prompt",
    ("tgframe_prompts.task:PromptClassification", "altered-padding"): "the prompt is empty: no side is right or left",
}
"""Component and mistake that means nothing there, and why."""

Row = dict[str, Any]


def contract_files() -> Iterator[Path]:
    """Every test file with a class that inherits a contract."""
    for path in sorted([*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("plugins/*/tests/**/test_*.py")]):
        if path.relative_to(ROOT).parts[1] not in OUR_OWN and "Contract" in (text := path.read_text("utf-8")):
            classes = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
            if any(ast.unparse(base).endswith("Contract") for node in classes for base in node.bases):
                yield path


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """What every contract said to every mistake."""
    out = tmp_path_factory.mktemp("planted") / "rows.json"
    files = [str(path.relative_to(ROOT)) for path in contract_files()]
    plugins = ["-p", "tests.testing.planting", "-p", "no:cacheprovider"]
    options = ["-q", "--no-header", "--tb=short", "--continue-on-collection-errors", *plugins, f"--planted={out}"]
    command = [sys.executable, "-m", "pytest", *options, *files]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert out.exists(), run.stdout + run.stderr
    found: list[Row] = json.loads(out.read_text("utf-8"))
    unread = {*files} - {str(Path(row["file"]).relative_to(ROOT)) for row in found}
    assert not unread, f"no contract was collected from {', '.join(sorted(unread))}:\n{run.stdout[:4000]}"
    return found


def components() -> dict[str, str]:
    """Every registered component of the repository: ``"module:Class"`` to its kind."""
    found = {}
    for kind, registry in load_plugins(blocked=frozenset()).registries.items():
        for name in registry.names():
            component = registry.load(name)
            file = sys.modules[component.__module__].__file__
            if file is not None and Path(file).is_relative_to(ROOT):
                found[f"{component.__module__}:{component.__qualname__}"] = kind
    return found


def test_every_component_has_a_contract_test(rows: list[Row]) -> None:
    covered = {row["component"] for row in rows if row["mistake"] is None}
    missing = [f"{kind} {address}" for address, kind in components().items() if address not in {*covered, *UNCOVERED}]
    assert not missing, f"write a class that inherits the contract of its interface for: {', '.join(missing)}"


def test_every_contract_runs(rows: list[Row]) -> None:
    assert not [told(row) for row in rows if row["mistake"] is None and row.get("outcome") != "held"]


@pytest.mark.parametrize("kind", [kind for kind, mistakes in MUTATIONS.items() if mistakes])
def test_planted_mistakes_are_found(kind: str, rows: list[Row]) -> None:
    planted = [row for row in rows if row["kind"] == kind and row["mistake"]]
    assert {row["mistake"] for row in planted} == {mistake.name for mistake in MUTATIONS[kind]}
    unseen = [told(row) for row in planted if row.get("outcome") != "broken" and key(row) not in UNSEEN]
    assert not unseen, "these contracts do not notice what was planted; do their examples differ enough?"


def test_no_exception_is_out_of_date(rows: list[Row]) -> None:
    held = {key(row) for row in rows if row.get("outcome") == "held"}
    assert {*UNSEEN} <= held, "these mistakes are noticed now: take them out of the table"
    assert not UNCOVERED.keys() & {row["component"] for row in rows}
    assert UNCOVERED.keys() <= components().keys()


def key(row: Row) -> tuple[str, str]:
    return row["component"], row["mistake"]


def told(row: Row) -> str:
    place = Path(row["file"]).relative_to(ROOT)
    return f"{place}::{row['contract']} ({row['component']}), {row['mistake']}: {row.get('outcome', 'not run')}"
