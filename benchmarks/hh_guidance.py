"""Guidance fitted to HH-harmless pairs: held-out accuracy over five folds, beside a length rule and a bag of bigrams.

    python benchmarks/hh_guidance.py --seeds 2 --output benchmarks/results/hh_guidance.json

Every fold and seed is one ordinary run of recipes/hh-harmless-guidance.yaml. Accuracies are averaged over seeds within
a fold; intervals are 95 % t-intervals over the five folds, differences are paired by fold. Runs that are there already
are not run again, so an interrupted benchmark continues.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import platform
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tgframe.swap.statistics import t_interval

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes" / "hh-harmless-guidance.yaml"
FOLDS = 5
SYSTEMS = ("guidance", "shorter", "bigrams", "likelihood")


def run(fold: int, seed: int, folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the result of one fold and seed, from its run folder if it is there."""
    import tgframe

    output = folder / f"fold-{fold}-seed-{seed}"
    if not (output / "result.json").exists():
        tgframe.run(RECIPE, [f"task.folds.test={fold}", f"runtime.seed={seed}", *overrides], output)
    result: dict[str, Any] = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return result


def pairs_by_fold(file: Path) -> list[list[tuple[str, str]]]:
    """Return chosen and rejected replies by fold, divided as the task divides them."""
    from tgframe_preferences.cells import Cells
    from tgframe_preferences.folds import Folds
    from tgframe_preferences.forms import form_of, read

    with gzip.open(file, "rt", encoding="utf-8") as lines:
        cells = [Cells("", json.loads(line)) for line in lines]
    form = form_of(cells[0].values, str(file))
    rows = [read(form, cell, ("\n\nAssistant:",)) for cell in cells]
    parts = [Folds(FOLDS, fold).divide(rows)["test"] for fold in range(FOLDS)]
    return [[(str(row.completions[0]), str(row.completions[1])) for row in part] for part in parts]


def bag(text: str) -> Counter[str]:
    """Return words and pairs of neighbouring words, each once."""
    words = re.findall(r"\w+|[^\w\s]", text.lower())
    return Counter({*words, *(" ".join(pair) for pair in itertools.pairwise(words))})


def features(pairs: Sequence[tuple[str, str]], places: dict[str, int]) -> Tensor:
    """Return sparse ``[N,V]``: what the chosen reply has and the rejected one has not, and the reverse with a minus."""
    rows, columns, values = [], [], []
    for row, (chosen, rejected) in enumerate(pairs):
        difference = bag(chosen)
        difference.subtract(bag(rejected))
        for word, count in difference.items():
            if count and word in places:
                rows.append(row)
                columns.append(places[word])
                values.append(float(count))
    shape = (len(pairs), len(places))
    return torch.sparse_coo_tensor(torch.tensor([rows, columns]), torch.tensor(values), shape, check_invariants=True)


def bigrams(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> float:
    """Return the held-out accuracy of a logistic regression on bags of words and bigrams, L2 penalty 1."""
    seen = Counter(word for pair in train for text in pair for word in bag(text))
    places = {word: place for place, word in enumerate(sorted(word for word, count in seen.items() if count > 1))}
    inputs = features(train, places)
    weights = torch.zeros(len(places), 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -torch.nn.functional.logsigmoid(inputs @ weights).sum() + 0.5 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    ahead = (features(test, places) @ weights).detach()
    return float(((ahead > 0).float() + 0.5 * (ahead == 0).float()).mean())


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean with its 95 % t-interval."""
    mean, bounds = statistics.fmean(values), t_interval(values)
    assert bounds is not None, "a mean of one value has no interval"
    low, high = bounds
    return {"mean": mean, "low": low, "high": high, "each": list(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/hh-harmless/pairs.jsonl.gz")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "benchmark-hh-guidance")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folds", type=int, nargs="*", default=list(range(FOLDS)), help="run these folds only")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    overrides = [f"task.data.train={options.data.resolve()}", *options.overrides]
    results = [[run(fold, seed, options.folder, overrides) for seed in range(options.seeds)] for fold in options.folds]
    if len(options.folds) < FOLDS:
        return
    parts = pairs_by_fold(options.data)
    accuracy: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    for fold, seeds in enumerate(results):
        scores = [result["scores"] for result in seeds]
        accuracy["guidance"].append(statistics.fmean(score["pairwise_accuracy"]["after"] for score in scores))
        accuracy["shorter"].append(scores[0]["pairwise_accuracy"]["shorter"])
        accuracy["likelihood"].append(scores[0]["likelihood_accuracy"]["before"])
        train = [pair for other, part in enumerate(parts) if other != fold for pair in part]
        accuracy["bigrams"].append(bigrams(train, parts[fold]))
    found = {
        "pairs": sum(map(len, parts)),
        "folds": FOLDS,
        "seeds": options.seeds,
        "machine": f"{platform.machine()}, {platform.system()}",
        "accuracy": {system: interval(values) for system, values in accuracy.items()},
        "auc": interval([statistics.fmean(r["scores"]["auc"]["after"] for r in seeds) for seeds in results]),
        "pairwise_calibration_error": interval(
            [statistics.fmean(r["scores"]["pairwise_calibration_error"]["after"] for r in seeds) for seeds in results]
        ),
        "guidance - shorter": interval(
            [one - other for one, other in zip(accuracy["guidance"], accuracy["shorter"], strict=True)]
        ),
        "guidance - bigrams": interval(
            [one - other for one, other in zip(accuracy["guidance"], accuracy["bigrams"], strict=True)]
        ),
        "median_seconds": statistics.median(r["cost"]["seconds"] for seeds in results for r in seeds),
    }
    for name, value in found.items():
        print(name, json.dumps(value))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
