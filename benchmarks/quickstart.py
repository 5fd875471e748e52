"""The quickstart over seeds: does token-level guidance help, and does it beat random search at equal calls?

    python benchmarks/quickstart.py --seeds 8 --output benchmarks/results/quickstart.json

Every seed is one ordinary run of recipes/quickstart.yaml (data draw, initialisation and sampling all follow the seed).
Differences are paired by seed: mean, 95 % t-interval, and an exact sign-flip permutation test with its smallest
attainable p. Runs that are there already are not run again, so an interrupted benchmark continues.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
from pathlib import Path
from typing import Any

from scipy import stats

ROOT = Path(__file__).parent.parent
PAIRS = (("after", "random_mean"), ("after", "before"), ("top3", "no_prompt"), ("top3", "random_search"))


def run_seed(recipe: Path, seed: int, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """Return the result of one seed, from its run folder if it is there."""
    import tgframe

    output = folder / f"seed-{seed}"
    if not (output / "result.json").exists():
        tgframe.run(recipe, [f"runtime.seed={seed}", f"task.data.data_seed={seed}", *overrides], output)
    result: dict[str, Any] = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return result


def interval(values: list[float]) -> dict[str, Any]:
    """Return the mean with its 95 % t-interval (None for one value)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"mean": mean, "low": None, "high": None, "n": len(values)}
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": len(values)}


def sign_flip(differences: list[float]) -> dict[str, float]:
    """Return the two-sided p of the exact sign-flip permutation test, and the smallest that this many seeds allow."""
    observed = abs(sum(differences))
    signs = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(flip, differences, strict=True))) for flip in signs]
    return {"p": sum(total >= observed - 1e-12 for total in sums) / len(sums), "smallest_p": 2 / len(sums)}


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return every system's accuracy, the paired differences, the preference reached, and the cost."""
    accuracy = [result["scores"]["accuracy"] for result in results]
    systems = {system: interval([scores[system] for scores in accuracy]) for system in accuracy[0]}
    paired = {}
    for one, other in PAIRS:
        differences = [scores[one] - scores[other] for scores in accuracy]
        paired[f"{one} - {other}"] = {**interval(differences), **sign_flip(differences), "each": differences}
    reached = {
        system: {
            split: interval([result["details"][system][f"{split}_preference"] for result in results])
            for split in ("train", "dev")
        }
        for system in ("top3", "random_search")
    }
    costs = ("seconds", "training_seconds", "evaluation_seconds", "preference_calls", "peak_memory_bytes")
    cost = {key: statistics.median(result["cost"][key] for result in results) for key in costs}
    return {"accuracy": systems, "paired": paired, "preference_reached": reached, "median_cost": cost}


def show(found: dict[str, Any]) -> None:
    """Print the summary as text."""
    for system, value in found["accuracy"].items():
        print(f"{system:<16} {100 * value['mean']:6.2f} %  [{100 * value['low']:.2f}, {100 * value['high']:.2f}]")
    for pair, value in found["paired"].items():
        print(
            f"{pair:<24} {100 * value['mean']:+6.2f}  [{100 * value['low']:+.2f}, {100 * value['high']:+.2f}]  "
            f"p = {value['p']:.4f} (smallest {value['smallest_p']:.4f})"
        )
    for system, value in found["preference_reached"].items():
        print(f"{system:<16} preference on train {value['train']['mean']:.1f}, on dev {value['dev']['mean']:.1f}")
    print({key: round(value, 1) for key, value in found["median_cost"].items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "quickstart.yaml")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "benchmark-quickstart")
    parser.add_argument("--output", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    results = [run_seed(options.recipe, s, options.folder, options.overrides) for s in range(options.seeds)]
    found = {"seeds": options.seeds, "machine": f"{platform.machine()}, {platform.system()}", **summary(results)}
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.seeds > 1:
        show(found)


if __name__ == "__main__":
    main()
