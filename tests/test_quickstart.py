"""The shipped recipe from end to end, made small: what a run writes, that it repeats, and how it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tgframe
from tgframe.errors import DeviceError, ModelError, RecipeError, RunFolderError, TgframeError

pytest.importorskip("tgframe_embedded")
pytest.importorskip("tgframe_prompts")
pytest.importorskip("tgframe_tlg")

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.yaml"
SMALL = [
    "schedule.steps=4",
    "schedule.improve.completions=8",
    "schedule.ground.steps=2",
    "schedule.ground.every=2",
    "schedule.ground.until=3",
    "schedule.ground.completions=6",
    "schedule.ground.sampler.candidates=16",
    "schedule.evaluate.every=2",
    "schedule.evaluate.completions=2",
    "task.data.shots=2",
    "task.data.test_rows=20",
    "task.policy_prompts=2",
    "task.random_prompts=2",
    "task.finalists=3",
]
MAY_DIFFER = re.compile(r"_seconds$|_per_second$|_bytes$")
BREVITY = """
import attrs
from tgframe import Preferences, PreferenceSource, hookimpl


@attrs.frozen
class Brevity(PreferenceSource):
    '''Prefers completions with fewer words.'''

    ceiling: int = 50
    '''Word count from which every completion is equally long.'''

    def judge(self, rollouts):
        words = [[min(len(text.split()), self.ceiling) for text in group] for group in rollouts.texts]
        return Preferences.from_scores([[-count for count in group] for group in words])


@hookimpl
def tgframe_register_preferences(register):
    register("brevity", Brevity)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tgframe.run(RECIPE, SMALL, tmp_path_factory.mktemp("runs") / "one")


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tgframe", *map(str, words)], capture_output=True, text=True, check=False
    )


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_run_folder_is_whole(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    systems = {"no_prompt", "random_mean", "before", "after", "top3", "random_search"}
    assert systems == result["scores"]["accuracy"].keys()
    assert all(0.0 <= value <= 1.0 for value in result["scores"]["accuracy"].values())
    assert {"seconds", "sampled_tokens", "preference_calls", "peak_memory_bytes"} <= result["cost"].keys()
    assert result["details"]["random_search"]["calls"] == result["details"]["top3"]["calls"]
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["components"]["preference"]["distribution"] == "tgframe-prompts"
    assert re.fullmatch(r"[0-9a-f]{64}", manifest["data"]["fingerprint"])
    assert {row["phase"] for row in rows(folder / "metrics.jsonl")} == {"ground", "improve", "evaluate"}
    sample = rows(folder / "samples.jsonl")[0]["completions"][0]
    assert len(sample["guidance"]) == len(sample["tokens"]) == 5
    assert {"preference", "aggregate", "text"} <= sample.keys()
    assert len(rows(folder / "eval.jsonl")) >= 20
    for name in ("policy/adaptor.safetensors", "guidance", "tensorboard", "checkpoints/step-8/MANIFEST.json"):
        assert (folder / name).exists(), name
    assert not list(folder.rglob("*.pt")) + list(folder.rglob("*.bin")) + list(folder.rglob("*.pkl"))


def test_equal_recipes_give_equal_metrics(folder: Path, tmp_path: Path) -> None:
    again = tgframe.run(folder / "recipe.yaml", (), tmp_path / "again")

    def comparable(path: Path) -> list[dict[str, Any]]:
        kept = rows(path / "metrics.jsonl")
        return [{key: value for key, value in row.items() if not MAY_DIFFER.search(key)} for row in kept]

    assert comparable(again) == comparable(folder)


def test_a_finished_run_can_be_used(folder: Path) -> None:
    run = tgframe.load(folder)
    ((tokens,),) = run.guidance.values([""], [[" from the package"]])
    assert "".join(token for token, _ in tokens).startswith(" from the package")
    assert all(0.0 < value < 1.3133 for _, value in tokens)
    trained = rows(folder / "metrics.jsonl")
    assert run.policy.version == max(row["step"] for row in trained) == 4


def test_loading_brings_the_trained_weights_back(folder: Path) -> None:
    from tgframe.runtime.checkpoint import read_checkpoint

    state = read_checkpoint(folder / "checkpoints" / "step-8")
    loaded = tgframe.load(folder).policy.state_dict()  # type: ignore[attr-defined]
    assert state["policy"].keys() == loaded.keys()
    assert all((state["policy"][key] == loaded[key]).all() for key in loaded)


def test_eval_and_sample(folder: Path) -> None:
    found = command("eval", folder, "--split", "dev")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["split"] == "dev"
    found = command("sample", folder, "--prompt", "", "--count", "3", "--guidance")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert len(lines) == 3
    assert all(len(re.findall(r":\d\.\d{3}", line)) == 5 for line in lines)


def test_a_plugin_of_one_file_runs_in_the_shipped_recipe(tmp_path: Path) -> None:
    plugin = tmp_path / "brevity.py"
    plugin.write_text(BREVITY, encoding="utf-8")
    output = tmp_path / "run"
    found = command(
        "run", RECIPE, *SMALL, "preference=brevity", "task.finalists=2", "--plugin", plugin, "--output", output
    )
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    assert "top3" in found.stdout
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["components"]["preference"]["name"] == "brevity"
    judged = [row["preference_mean"] for row in rows(output / "metrics.jsonl") if "preference_mean" in row]
    assert judged
    assert all(-50 <= value <= 0 for value in judged)


def test_a_finished_folder_is_refused(folder: Path) -> None:
    before = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(RunFolderError, match="finished"):
        tgframe.run(RECIPE, SMALL, folder)
    assert (folder / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("runtime.device=cuda:77", DeviceError, "cuda"),
        ("runtime.device=gpu", RecipeError, r"runtime\.device.*'gpu'"),
        ("schedule.ground.completions=1", RecipeError, r"`schedule\.ground\.completions` must be >= 2"),
        ("sampler.max_new_tokens=4000", TgframeError, "4000|position"),
        ("policy.model=embedded/casual", ModelError, "Did you mean 'embedded/causal'"),
        ("task.verbalizers={torch: ' not one token'}", TgframeError, "' not one token' of the label 'torch'"),
    ],
)
def test_what_cannot_be_run_is_told_and_leaves_nothing_that_looks_finished(
    tmp_path: Path, override: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tgframe.run(RECIPE, [*SMALL, override], tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
