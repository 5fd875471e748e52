"""The paper's ablations on the embedded models, one `tgframe swap` each: which of its claims hold at this size?

    python benchmarks/ablations.py aggregation --seeds 8 --jobs 2
    python benchmarks/ablations.py components --seeds 5 --jobs 2
    python benchmarks/ablations.py summaries --seeds 4 --jobs 2

Runs recipes/ablations/prompts.yaml, or recipes/summarize-docstrings.yaml (about 70 s a run on one core), and writes
benchmarks/results/ablation_NAME.json: the cells, summary and comparisons of the swap, and the minutes that it took if
it was not interrupted. A swap that was interrupted goes on. Prompts have five tokens, always, so that `sum` and `mean`
(times the mean length of the group) are the same aggregator: that the two cells are identical, run by run, is asserted.
Summaries differ in length, and so do the two there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RECIPE = "recipes/ablations/prompts.yaml"
SUMMARIES = "recipes/summarize-docstrings.yaml"
DENSE = "{type: reinforce-maxent, entropy: 0.04, center: position}"
TO_GO = "{type: reinforce-maxent, entropy: 0.04, center: position, returns: to-go}"
SPARSE = "{type: sparse, entropy: 0.04, center: group}"
VARIED = {
    "aggregation": ("aggregator=mean,sum,soft-max,soft-min",),
    "components": (
        "schedule.ground.ranking.size=5,2,3",
        "schedule.ground.every=20,1000",  # 1000: fitted once, never again
        f"objective={DENSE},{SPARSE},{TO_GO}",
        "guidance.bound=softplus,sigmoid,none",
        "guidance.hidden=2048,256",
        f"recipe={RECIPE},recipes/ablations/bandit.yaml",
    ),
    "summaries": ("aggregator=mean,sum,soft-max,soft-min",),
}


def swap(name: str, seeds: int, jobs: int, folder: Path) -> None:
    """Run or continue one swap."""
    varied = [word for vary in VARIED[name] for word in ("--vary", vary)]
    recipe = SUMMARIES if name == "summaries" else RECIPE
    command = [sys.executable, "-m", "tgframe", "swap", recipe, *varied, "--seeds", str(seeds), "--one-at-a-time"]
    more = ["--seed-key", "task.data.data_seed", "--jobs", str(jobs), "--output", str(folder)]
    # Paths are relative, so that no result holds those of a machine.
    subprocess.run([*command, *more], check=True, cwd=ROOT)


def assert_identical(found: dict[str, Any]) -> None:
    """Prompts of one length: `sum` and `mean` must agree in every score of every seed."""
    runs = {cell["settings"]["aggregator"]: cell["runs"] for cell in found["cells"]}
    for one, other in zip(runs["sum"], runs["mean"], strict=True):
        assert one["scores"] == other["scores"], f"seed {one['seed']}: sum and mean differ"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=VARIED)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    folder = options.folder.absolute() / f"ablation-{options.name}"
    fresh, start = not folder.exists(), time.perf_counter()
    swap(options.name, options.seeds, options.jobs, folder)
    minutes = (time.perf_counter() - start) / 60
    found = json.loads((folder / "swap.json").read_text(encoding="utf-8"))
    if options.name == "aggregation":
        assert_identical(found)
    output = ROOT / "benchmarks" / "results" / f"ablation_{options.name}.json"
    found |= {"jobs": options.jobs, "minutes": round(minutes, 1) if fresh else None}
    output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {output}")


if __name__ == "__main__":
    main()
