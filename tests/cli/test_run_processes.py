"""`tgframe run` in several processes: one run, one voice, one end."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.runtime.test_launch import CONFIG
from tests.together import free_port, together

pytest.importorskip("tgframe_embedded")
pytest.importorskip("tgframe_preferences")
pytest.importorskip("tgframe_ulma")

ROOT = Path(__file__).parents[2]
BROKEN = """
import os

import attrs
from tgframe import Preferences, PreferenceSource, hookimpl


@attrs.frozen
class Broken(PreferenceSource):
    '''Judges nothing in the second process.'''

    def judge(self, rollouts):
        if os.environ["RANK"] == "1":
            raise RuntimeError("no judgment here")
        return Preferences.from_scores([[0.0, 1.0] for _ in rollouts.texts])


@hookimpl
def tgframe_register_preferences(register):
    register("broken", Broken)
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The words of a command that takes a second."""
    data = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"Is {row} right?", "chosen": " Yes" + "." * (row % 3), "rejected": " No" + "!" * (row % 4)}
        for row in range(24)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    small = [f"task.data.train={data}", "task.writing=null", "schedule.steps=3", "schedule.improve.prompts=4"]
    return ["run", str(ROOT / "recipes" / "hh-dpo.yaml"), *small, "--output", str(tmp_path / "run")]


def command(words: list[str]) -> tuple[int, str, str]:
    """Return exit status, standard output and standard error of the command line."""
    from tgframe.__main__ import main

    sys.argv = ["tgframe", *words]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            status = int(left.code or 0)
        except Exception as error:  # the interpreter would print it, and exit with 1
            status = 1
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return status, out.getvalue(), err.getvalue()


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_one_process_prints(words: list[str], tmp_path: Path) -> None:
    (status, out, err), *others = together(2, command, words)
    assert status == 0, err
    assert "pairwise_accuracy" in out
    assert "run folder: " in err
    assert others == [(0, "", "")]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["processes"] == 2
    (status, _, err), *others = together(2, command, [*words, "--resume"])
    assert status == 0
    assert "is finished: there is nothing to resume" in err
    assert others == [(0, "", "")]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["schedule.improve.prompts=3"], "`schedule.improve.prompts` must be a multiple of the 2 processes"),
        (["objective.bata=1"], "`objective.bata` is not an option"),
        (["runtime.device=cuda:1"], "`runtime.device` must be 'auto', 'cuda' or 'cpu' in a run of 2 processes"),
        (["policy.model=embedded/casual"], "Did you mean 'embedded/causal'"),
        (["--plugin", "nowhere.py"], "nowhere.py"),
    ],
)
def test_a_mistake_is_told_once_and_ends_all(words: list[str], more: list[str], told: str) -> None:
    (status, out, err), *others = together(2, command, [*words, *more])
    assert (status, out) == (1, "")
    assert told in err
    assert others == [(1, "", "")]


def test_a_folder_that_is_in_use_is_told_once(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something.txt").write_text("kept", encoding="utf-8")
    (status, _, err), *others = together(2, command, words)
    assert status == 1
    assert "is neither empty nor a run folder" in err
    assert others == [(1, "", "")]


def test_a_process_that_fails_tells_why_and_no_other_waits(words: list[str], tmp_path: Path) -> None:
    plugin = tmp_path / "broken.py"
    plugin.write_text(BROKEN, encoding="utf-8")
    left, failed = together(2, command, [*words, "preference=broken", "--plugin", str(plugin)])
    assert failed[0] == 1, left
    assert "RuntimeError: no judgment here" in failed[2]
    assert left[0] == 1
    assert "Another process of this run has ended" in left[2]
    assert not (tmp_path / "run" / "result.json").exists()


def divided(words: list[str]) -> tuple[int, str, str]:
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    return command(words)


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["policy.lora={r: 4}", "reference.type=adapters-off", "schedule.improve.accumulate=2"],
        ["policy.gradient_checkpointing=true", "runtime.checkpoint_every=2"],
    ],
    ids=["reference", "adapters", "recomputed"],
)
def test_divided_weights_make_the_same_run(words: list[str], tmp_path: Path, more: list[str]) -> None:
    *rest, _, folder = words
    whole, split = Path(folder) / "whole", Path(folder) / "split"
    for how, output in ((command, whole), (divided, split)):
        for status, _, err in together(2, how, [*rest, *more, "--output", str(output)]):
            assert status == 0, err
    assert json.loads((split / "manifest.json").read_text(encoding="utf-8"))["divided"]
    for row, expected in zip(metrics(split), metrics(whole), strict=True):
        assert row == {
            key: pytest.approx(value, rel=1e-3, abs=1e-5) if isinstance(value, float) else value
            for key, value in expected.items()
        }
    (file,) = [path.name for path in (whole / "policy").glob("*.safetensors")]
    mine, known = (load_file(folder / "policy" / file) for folder in (split, whole))
    assert mine.keys() == known.keys()
    for name, weight in known.items():
        torch.testing.assert_close(mine[name], weight, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_a_launcher_starts_one_run(words: list[str], tmp_path: Path, launcher: str) -> None:
    """``accelerate launch`` is configured for FSDP: the processes divide the weights."""
    configuration = tmp_path / "fsdp.yaml"
    configuration.write_text(CONFIG, encoding="utf-8")
    port = str(free_port())
    launch = {
        "torchrun": ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", port],
        "accelerate": [
            "accelerate.commands.launch",
            "--config_file",
            str(configuration),
            "--main_process_port",
            port,
        ],
    }[launcher]
    found = subprocess.run(
        [sys.executable, "-m", *launch, "-m", "tgframe", *words, "runtime.tensorboard=false"],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("pairwise_accuracy") == 1
    assert [row["step"] for row in metrics(tmp_path / "run") if row["phase"] == "improve"] == [1, 2, 3]
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["divided"] == (launcher == "accelerate")
