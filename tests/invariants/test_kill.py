"""The shipped quick recipes, killed with SIGKILL again and again, and asked to stop: nothing is lost but time."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

pytest.importorskip("tgframe_embedded")
pytest.importorskip("tgframe_prompts")
pytest.importorskip("tgframe_tlg")

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
SMALL = [
    "schedule.steps=6",
    "schedule.improve.completions=8",
    "schedule.ground.steps=4",
    "schedule.ground.every=2",
    "schedule.ground.until=4",
    "schedule.ground.completions=6",
    "schedule.ground.sampler.candidates=16",
    "schedule.evaluate.every=2",
    "schedule.evaluate.completions=2",
    "schedule.evaluate.keep=best",
    "task.data.shots=2",
    "task.data.test_rows=20",
    "task.policy_prompts=2",
    "task.random_prompts=2",
    "task.finalists=3",
    "runtime.checkpoint_every=1",
]
MAY_DIFFER = ("_seconds", "_per_second", "_bytes")


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tgframe", "run", str(RECIPE), *SMALL, "--output", str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(folder: Path, *more: str) -> tuple[int, str]:
    process = start(folder, *more)
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.endswith(MAY_DIFFER)} for line in lines]


def assert_same(folder: Path, whole: Path) -> None:
    assert rows(folder) == rows(whole)
    for weights in ("policy", "guidance"):
        for file in sorted((whole / weights).glob("*.safetensors")):
            expected, found = load_file(file), load_file(folder / weights / file.name)
            assert found.keys() == expected.keys()
            assert all(found[name].equal(expected[name]) for name in expected), f"{weights}/{file.name} differs"
    results = [json.loads((path / "result.json").read_text(encoding="utf-8")) for path in (folder, whole)]
    assert results[0]["scores"] == results[1]["scores"]
    assert results[0]["details"] == results[1]["details"]
    assert results[0]["cost"]["preference_calls"] == results[1]["cost"]["preference_calls"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "whole"
    status, told = finish(folder)
    assert status == 0, told
    return folder


def written(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_killed_at_random_moments(whole: Path, tmp_path: Path) -> None:
    folder, chance, total = tmp_path / "killed", random.Random(0), written(whole)
    for _ in range(3):
        process = start(folder, "--resume")
        goal = min(written(folder) + chance.randint(1, total // 3), total - 1)
        end = time.monotonic() + 60
        while written(folder) < goal and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(chance.random() / 5)
        process.kill()
        process.communicate()
    status, told = finish(folder, "--resume")
    assert status == 0, told
    assert "Going on from" in told
    assert_same(folder, whole)


def test_asked_to_stop(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    process = start(folder)
    while written(folder) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Run the same command with --resume to go on." in told
    assert "Traceback" not in told
    status, told = finish(folder, "--resume", "optimizer.policy.lr=0.5")
    assert status == 1
    assert "`optimizer.policy.lr` was 0.001, and is 0.5 now." in told
    assert "--allow-change" in told
    status, told = finish(folder, "--resume")
    assert status == 0, told
    assert_same(folder, whole)
    status, told = finish(folder, "--resume")
    assert status == 0
    assert "is finished: there is nothing to resume" in told
