"""``tgframe swap`` as people call it: real runs in real processes, interrupted, killed, and gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tgframe
from tgframe.registry.manager import load_plugins
from tgframe.swap.parsing import make_request
from tgframe.swap.plan import make_plan
from tgframe.swap.run import swap

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).with_name("toys.py")
VARY = ["--vary", "task.rights=10,14", "--seeds", "2", "--plugin", str(TOYS)]


def start(*words: object) -> subprocess.Popen[str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-m", "tgframe", "swap", *map(str, words)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(*words: object) -> tuple[int, str, str]:
    process = start(*words)
    out, told = process.communicate(timeout=120)
    return process.returncode, out, told


def read_until(process: subprocess.Popen[str], begin: str) -> None:
    assert process.stderr is not None
    told = []
    while not (line := process.stderr.readline()).startswith(begin):
        told.append(line)
        assert line, f"{begin!r} was not said: {told}"


def comparable(value: Any) -> Any:
    """Everything but what two equal runs may differ in."""
    if isinstance(value, dict):
        return {key: comparable(child) for key, child in value.items() if not key.endswith(("seconds", "_bytes"))}
    return [comparable(child) for child in value] if isinstance(value, list) else value


def uninterrupted(recipe: Path, output: Path) -> Any:
    """Make the runs of the same swap one after the other in this process; return what swap.json holds then."""
    plugins = load_plugins(files=[TOYS])
    plan = make_plan(make_request(recipe, (), ["task.rights=10,14"], "2"), plugins)
    output.mkdir()
    (output / "swap.json").touch()
    for run in plan.runs:
        tgframe.run(recipe, run.overrides, output / run.folder, plugins)
    lines: list[str] = []
    found = swap(plan, output, say=lines.append)
    assert lines == [f"4 runs (2 cells x 2 seeds) to {output}, 4 of them there already"]
    return json.loads(json.dumps(found))


def load(folder: Path) -> Any:
    return json.loads((folder / "swap.json").read_text(encoding="utf-8"))


def statuses(folder: Path) -> Sequence[str]:
    return [run["status"] for cell in load(folder)["cells"] for run in cell["runs"]]


def test_a_swap_that_is_interrupted_and_killed_ends_like_one_that_is_not(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = start(recipe, *VARY, "--output", output)
    read_until(process, "4 runs")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1].splitlines()[-1].startswith("stopped; the same command with --output ")
    assert process.returncode == 130
    assert "failed" not in statuses(output)

    process = start(recipe, *VARY, "--output", output)
    read_until(process, f"{1 + statuses(output).count('done')}/4 ")
    time.sleep(random.Random(7).uniform(0.5, 2.0))
    process.kill()
    process.communicate(timeout=60)
    assert 1 <= statuses(output).count("done") < 4

    status, table, told = command(recipe, *VARY, "--output", output)
    assert status == 0, told
    assert "of them there already" in told.splitlines()[0]
    assert table.splitlines()[2].startswith("task.rights=14    0.6750 [")
    names = {".swap.lock", "cells", "report.html", "swap.csv", "swap.json"}
    assert {path.name for path in output.iterdir()} == names
    left = {path.name for path in output.glob("cells/*/*")} | {path.name for path in output.glob("cells/*/.*")}
    assert left == {"seed-0", "seed-1"}
    assert comparable(load(output)) == comparable(uninterrupted(recipe, tmp_path / "whole"))


def test_a_run_that_fails_takes_nothing_down(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    words = ["--vary", "task.spoil=raise", "--seeds", "1", "--jobs", "2", "--plugin", TOYS]
    status, table, told = command(recipe, *words, "--output", output)
    assert (status, table) == (1, "No run has a score of 'after'.\n")
    (cell,) = load(output)["cells"]
    assert cell["runs"][0]["status"] == "failed"
    assert cell["runs"][0]["error"] == "RuntimeError: spoiled on purpose"
    assert "1 run failed" in told
    assert "Traceback" in (output / "cells/task.spoil=raise/seed-0.stderr.txt").read_text()


def test_a_recipe_alone_is_run_over_seeds(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    status, table, told = command(recipe, "--seeds", "2", "--plugin", TOYS, "--output", output)
    assert status == 0, told
    (cell,) = load(output)["cells"]
    assert cell["settings"] == {"recipe": str(recipe)}
    assert [run["status"] for run in cell["runs"]] == ["done", "done"]
    (row,) = [row for row in load(output)["summary"] if (row["metric"], row["system"]) == ("accuracy", "after")]
    assert row["n"] == 2
    assert row["interval"][0] <= row["mean"] <= row["interval"][1]
    assert load(output)["comparisons"] == []
    assert f"{row['mean']:.4f} [" in table


def test_a_dry_run_runs_nothing(recipe: Path, tmp_path: Path) -> None:
    status, out, _ = command(recipe, *VARY, "--dry-run", "--output", tmp_path / "out")
    assert status == 0
    assert out.splitlines()[-1] == "4 runs"
    assert not (tmp_path / "out").exists()


def test_mistakes_are_told_before_anything_runs(recipe: Path, tmp_path: Path) -> None:
    words = ["--vary", "sampler=plain,plan", "--plugin", TOYS, "--output", tmp_path / "out"]
    status, out, told = command(recipe, *words)
    assert (status, out) == (1, "")
    assert told.startswith("cell 'sampler=plan': ")
    assert "Did you mean 'plain'?" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--help"], ["swap", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['tgframe', *{words!r}]\nfrom tgframe.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print('HEAVY', *({'torch', 'scipy', 'numpy', 'transformers', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "swap" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY"
