"""The task as a recipe sees it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import tgframe_prompts
from tgframe_prompts.classifiers.options import MaskedLM
from tgframe_prompts.task import PromptClassification

INSTALLED = {point.name for point in metadata.entry_points(group="tgframe")}
needs_plugins = pytest.mark.skipif(
    not {"prompts", "tlg"} <= INSTALLED, reason="reads a recipe: needs the plugins installed"
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "{text}{prompt}"}, "must contain {mask} exactly once"),
        ({"template": "{text}{mask}"}, "must contain {prompt} exactly once"),
        ({"truncate": "middle"}, "'left', 'right'"),
        ({"test_rows": 0}, "must be > 0"),
        ({"best_rows": 0}, "must be > 0"),
        ({"best_rows": "all"}, "'test_rows'"),
        ({"random_prompts": -1}, "must be >= 0"),
        ({"finalists": 0}, "must be >= 1"),
    ],
)
def test_mistakes_are_told(data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the words are compared below: they hold braces
        PromptClassification(data(), MaskedLM("m"), **options)
    assert message in str(raised.value)


RECIPE = """
task:
  type: prompt-classification
  data: {type: files, train: train.tsv, dev: dev.tsv, test: test.tsv}
  classifier: {type: embedding, model: some/model, scale: 5}
  text: sentence
  label: [a, b]
  verbalizers: {"0": " bad", "1": " good"}
policy: {type: adaptor, model: some/model}
sampler: {type: top-k, top_k: 256, min_new_tokens: 5, max_new_tokens: 5}
preference: {type: classification-gap, examples: 0.8}
guidance: {type: learned, model: some/model}
aggregator: {type: mean}
objective: {type: reinforce-maxent}
schedule: {steps: 1, ground: {steps: 1}}
"""


def check(folder: Path, recipe: str) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    command = [sys.executable, "-m", "tgframe", "check", str(folder / "recipe.yaml")]
    return subprocess.run(command, capture_output=True, text=True)


@needs_plugins
def test_a_recipe_becomes_a_task(tmp_path: Path) -> None:
    found = check(tmp_path, RECIPE)
    assert found.returncode == 0, found.stderr
    assert "type: embedding" in found.stdout
    assert "scale: 5.0" in found.stdout
    again = check(tmp_path, found.stdout)
    assert again.stdout == found.stdout


@needs_plugins
@pytest.mark.parametrize("rows", ["800", "null", "test_rows"])
def test_rows_of_the_best_prompts_are_a_number_all_or_as_many_as_the_others(tmp_path: Path, rows: str) -> None:
    found = check(tmp_path, RECIPE.replace("text: sentence", f"best_rows: {rows}"))
    assert found.returncode == 0, found.stderr
    assert f"best_rows: {rows}" in found.stdout
    assert check(tmp_path, found.stdout).stdout == found.stdout


@needs_plugins
def test_evaluation_needs_a_sampler(tmp_path: Path) -> None:
    found = check(
        tmp_path, RECIPE.replace("sampler: {type: top-k, top_k: 256, min_new_tokens: 5, max_new_tokens: 5}", "")
    )
    assert found.returncode == 1
    assert "task 'prompt-classification'" in found.stderr + found.stdout


@needs_plugins
def test_a_recipe_with_mistakes_is_told_them_all(tmp_path: Path) -> None:
    recipe = RECIPE.replace('"0": " bad"', '0: " bad"').replace("embedding", "embeding").replace("0.8", "80")
    found = check(tmp_path, recipe.replace("text: sentence", 'template: "{text}{prompt}"'))
    assert found.returncode == 1
    for message in ("in quotes", "Did you mean 'embedding'", "must be <= 1", "must contain {mask} exactly once"):
        assert message in found.stderr + found.stdout


def test_specifications_import_no_torch() -> None:
    code = (
        "import sys, tgframe_prompts, tgframe_prompts.task, tgframe_prompts.preference\n"
        "import tgframe_prompts.classifiers.options, tgframe_prompts.few_shot\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_the_plugin_registers_its_parts() -> None:
    found: dict[str, str] = {}
    tgframe_prompts.tgframe_register_tasks(found.__setitem__)
    tgframe_prompts.tgframe_register_preferences(found.__setitem__)
    tgframe_prompts.tgframe_register_data(found.__setitem__)
    assert found == {
        "prompt-classification": "tgframe_prompts.task:PromptClassification",
        "classification-gap": "tgframe_prompts.preference:ClassificationGap",
        "few-shot": "tgframe_prompts.few_shot:FewShot",
    }


@needs_plugins
def test_presets_are_known_by_name(tmp_path: Path) -> None:
    verbalizers = 'verbalizers: {"0": " bad", "1": " good"}'
    found = check(tmp_path, RECIPE.replace(verbalizers, "preset: sst-2"))
    assert found.returncode == 0, found.stderr
    assert "preset: sst-2" in found.stdout
    found = check(tmp_path, RECIPE.replace(verbalizers, "preset: sst2"))
    assert found.returncode == 1
    assert "task.preset" in found.stderr
    assert "Did you mean 'sst-2'" in found.stderr
