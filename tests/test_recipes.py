"""Every shipped recipe is sound; guidance learns from ranks of any source, with four completions a prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tgframe
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import load_plugins

pytest.importorskip("tgframe_embedded")
pytest.importorskip("tgframe_preferences")
pytest.importorskip("tgframe_tlg")

ROOT = Path(__file__).parents[1]
RECIPES = sorted(ROOT.glob("recipes/**/*.yaml"))
GUIDANCE = ROOT / "recipes" / "hh-harmless-guidance.yaml"
WORDS = ("good", "fine", "poor", "bad")
"""From the best to the worst."""


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_recipe_passes_check(recipe: Path) -> None:
    assert load_recipe(recipe).recipe.task is not None


def rows(count: int) -> list[dict[str, Any]]:
    """Groups of four, the order of the words drawn by row; the best word is best, the last rank is missing at times."""
    made = []
    for number in range(count):
        order = [(number * 3 + place * (1 + 2 * (number % 2))) % 4 for place in range(4)]
        ranks = [place if number % 5 or place < 3 else None for place in order]
        texts = [f" It is {WORDS[place]}." for place in order]
        made.append({"prompt": f"Is number {number} right?", "completions": texts, "ranks": ranks})
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "ranked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(60)), encoding="utf-8")
    return file


def fit(data: Path, output: Path, *overrides: str) -> dict[str, Any]:
    small = ["schedule.ground.steps=15", "schedule.ground.prompts=6", "schedule.ground.completions=4"]
    quick = ["optimizer.guidance.lr=2e-3", "guidance.gain=1.0", "runtime.tensorboard=false"]
    folder = tgframe.run(GUIDANCE, [f"task.data.train={data}", *small, *quick, *overrides], output)
    result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return result


def test_guidance_is_fitted_to_ranks_that_come_with_the_rows(data: Path, tmp_path: Path) -> None:
    scores = fit(data, tmp_path / "run")["scores"]["pairwise_accuracy"]
    assert scores["after"] > 0.95
    assert scores["before"] < 0.9


def test_the_same_fit_runs_from_ranks_of_another_source(data: Path, tmp_path: Path) -> None:
    """Completions come from the policy, ranks from a function of their texts."""
    source = tmp_path / "judges_words.py"
    source.write_text(
        "import attrs\n"
        "from tgframe import Preferences, PreferenceSource, hookimpl\n"
        "@attrs.frozen\n"
        "class Words(PreferenceSource):\n"
        "    '''Ranks by the number of words, the fewest best.'''\n"
        "    def provides(self):\n"
        "        return frozenset({'rank'})\n"
        "    def judge(self, rollouts):\n"
        "        counts = [[len(text.split()) for text in group] for group in rollouts.texts]\n"
        "        return Preferences.from_ranks([[sorted(group).index(n) for n in group] for group in counts])\n"
        "@hookimpl\n"
        "def tgframe_register_preferences(register):\n"
        "    register('words', Words)\n"
    )
    overrides = ["sampler={type: top-p, max_new_tokens: 12}", "preference=words", "schedule.ground.steps=3"]
    small = ["schedule.ground.prompts=4", "schedule.ground.completions=4", "task.test_rows=8"]
    plugins = load_plugins(files=[source])
    folder = tgframe.run(GUIDANCE, [f"task.data.train={data}", *small, *overrides], tmp_path / "run", plugins)
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    fitted = [row for row in map(json.loads, lines) if "rankings" in row]
    assert len(fitted) == 3
    assert all(row["rankings"] + row["rankings_skipped"] == 4 for row in fitted)
