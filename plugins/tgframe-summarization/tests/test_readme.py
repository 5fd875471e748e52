"""The recipe on the plugin's page, as somebody with a file of their own would run it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

import tgframe
from tgframe.testing import write_tiny_model

pytest.importorskip("tgframe_tlg")

PAGE = Path(__file__).parents[1] / "README.md"
QUICK = ("schedule.steps=2", "schedule.ground.steps=1", "schedule.ground.every=null", "schedule.ground.until=null")


def write_texts(file: Path) -> None:
    """Write twenty texts: one without a summary, and one that is longer than the recipe's limit."""
    with open(file, "w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["doc", "tldr"])
        rows.writerow(['A text, "quoted".', ""])
        rows.writerow(["Long. " * 50, "long"])
        rows.writerows([f"Text number {number}.\nIt has two lines.", f"text {number}"] for number in range(18))


@pytest.mark.filterwarnings("ignore:Rows are left out", "ignore:A source in split")
def test_the_recipe_of_the_page_runs_on_a_file_of_ones_own(tmp_path: Path) -> None:
    recipe, *others = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert not others
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")
    write_texts(tmp_path / "texts.csv")
    model = write_tiny_model(tmp_path / "model", "seq2seq")
    models = [f"policy.model={model}", f"guidance.model={model}", "guidance.hidden=8", "runtime.device=cpu"]
    folder = tgframe.run(tmp_path / "mine.yaml", [*QUICK, *models], tmp_path / "run")
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert set(result["scores"]["rouge1"]) == {"before", "after", "lead"}
    assert result["details"]["after"]["rows"] == 4
    data = json.loads((folder / "manifest.json").read_text("utf-8"))["data"]
    assert (data["rows"], data["left_out"]) == ({"train": 15, "dev": 4}, {"train": {"without_target": 1}})
