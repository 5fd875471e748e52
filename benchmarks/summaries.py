"""Summary lines of docstrings: guided (`reward-weighted-mle`) against plain `mle`, from one start and in equal steps.

    python benchmarks/summaries.py --seeds 8 --jobs 2

One `tgframe swap` of recipes/summarize-docstrings.yaml against recipes/ablations/docstrings-mle.yaml, paired by seed.
The seed draws the order of training and the samples that guidance is fitted to; the 200 test rows are always the same,
so that an interval over seeds says nothing about other rows (the swap's bootstrap interval does). A swap that was
interrupted goes on. Writes benchmarks/results/summaries.json: cells, summary and comparisons of the swap, and what each
run gains over its own start and over the lead (`learned`), which the swap does not compare.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tgframe.swap.statistics import t_interval

ROOT = Path(__file__).parent.parent
GUIDED, PLAIN = "recipes/summarize-docstrings.yaml", "recipes/ablations/docstrings-mle.yaml"


def learned(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return `after` minus `before` and `after` minus `lead` of one cell, paired by seed, with 95 % t-intervals."""
    found = {}
    for metric in runs[0]["scores"]:
        for other in ("before", "lead"):
            each = [run["scores"][metric]["after"] - run["scores"][metric][other] for run in runs]
            found[f"{metric}: after - {other}"] = {"mean": sum(each) / len(each), "interval": t_interval(each)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs")
    options = parser.parse_args()
    folder = options.folder.absolute() / "summaries"
    command = [sys.executable, "-m", "tgframe", "swap", PLAIN, "--vary", f"recipe={PLAIN},{GUIDED}"]
    seeds = ["--seeds", str(options.seeds), "--jobs", str(options.jobs)]
    subprocess.run([*command, *seeds, "--output", str(folder)], check=True, cwd=ROOT)
    found = json.loads((folder / "swap.json").read_text(encoding="utf-8"))
    found["learned"] = {
        cell["id"]: learned([run for run in cell["runs"] if run["status"] == "done"]) for cell in found["cells"]
    }
    output = ROOT / "benchmarks" / "results" / "summaries.json"
    output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {output}")


if __name__ == "__main__":
    main()
