"""What the README tells somebody with a file of their own to do."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

import tgframe

README = Path(__file__).parent.parent / "README.md"
INSTALLED = {point.name for point in metadata.entry_points(group="tgframe")}
GOOD = ("I loved every minute", "great acting", "best meal in years", "would buy it again", "it works")
BAD = ("I want my money back", "terrible acting", "worst meal in years", "would never buy it again", "it broke")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with 20 reviews and the recipe of the README."""
    rows = [f'"{text}, {more}",{stars}' for stars, texts in ((5, GOOD), (1, BAD)) for text in texts for more in "ab"]
    (tmp_path / "reviews.csv").write_text("\n".join(["review,stars", *rows]), encoding="utf-8")
    recipe = re.search(r"## Your own data.*?```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert recipe is not None
    (tmp_path / "mine.yaml").write_text(recipe[1], encoding="utf-8")
    return tmp_path


@pytest.mark.skipif(not {"prompts", "tlg", "embedded"} <= INSTALLED, reason="the recipe names parts of other plugins")
def test_the_recipe_for_an_own_file_runs(folder: Path) -> None:
    short = ("schedule.steps=1", "schedule.ground.steps=1", "task.policy_prompts=2", "task.random_prompts=2")
    run = tgframe.run(folder / "mine.yaml", [*short, "task.data.shots=4"], output=folder / "run")
    data = json.loads((Path(run) / "manifest.json").read_text(encoding="utf-8"))["data"]
    assert data["rows"] == {"train": 8, "dev": 8, "test": 4}
    assert data["rows_seen_before"] == {"train": 0, "dev": 0, "test": 0}
    assert list(data["verbalizers"]) == ["1", "5"]
    scores = json.loads((Path(run) / "result.json").read_text(encoding="utf-8"))["scores"]["accuracy"]
    assert {"no_prompt", "top3", "random_search", "after"} <= scores.keys()
