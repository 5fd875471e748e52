"""Five objectives on HH-harmless side by side: what each makes of the implicit reward, and how far it moves the policy.

    python benchmarks/hh_objectives.py --seeds 5 --output benchmarks/results/hh_objectives.json

Every objective and seed is one ordinary run of recipes/hh-NAME.yaml; seed `s` holds out fold `s mod 5`, so that five
seeds see every pair held out once. Reported of the held-out replies are pairwise accuracy, AUC and calibration of the
implicit reward after training (the task's evaluation of guidance `implicit`), and the divergence from the reference:
the mean of log pi - log ref over completions that the trained policy writes to held-out prompts, cut to `--tokens`
tokens. Intervals are 95 % t-intervals over seeds, differences are paired by seed. What is there already is not run
again, so an interrupted benchmark continues.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import tgframe
from tgframe.builtin.samplers import Sample
from tgframe.swap.statistics import t_interval

ROOT = Path(__file__).parent.parent
OBJECTIVES = ("dpo", "pointwise-dpo", "ulma", "sft", "unlikelihood")
FOLDS = 5
SCORES = ("pairwise_accuracy", "auc", "calibration_error", "pairwise_calibration_error", "likelihood_accuracy")
DIVERGENCES = ("kl", "kl_per_token")


def run(objective: str, seed: int, options: argparse.Namespace, overrides: Sequence[str]) -> dict[str, float]:
    """Return the scores of one run, from its run folder where they are there already."""
    output = options.folder / f"{objective}-seed-{seed}"
    if not (output / "result.json").exists():
        given = [f"task.folds.test={seed % FOLDS}", f"runtime.seed={seed}", *overrides]
        tgframe.run(ROOT / "recipes" / f"hh-{objective}.yaml", given, output)
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    scores = {name: result["scores"][name]["after"] for name in SCORES}
    return {**scores, **divergence(output, seed, options), "seconds": result["cost"]["seconds"]}


def divergence(folder: Path, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Return the divergence of a finished run's policy from its reference, in nats; it is kept beside the run."""
    kept = folder.with_name(f"{folder.name}-kl-{options.prompts}x{options.completions}x{options.tokens}.json")
    if not kept.exists():
        found = measured(folder, seed, options)
        kept.write_text(json.dumps(found) + "\n", encoding="utf-8")
    kl: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
    return kl


@torch.no_grad()
def measured(folder: Path, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Let the policy write, and score what it wrote with itself and with the reference."""
    loaded = tgframe.load(folder)
    parts, generator = loaded.parts, torch.Generator().manual_seed(seed)
    prompts = parts.task.prompts(loaded.policy, "test", options.prompts, generator)
    ratios, tokens = [], 0
    for first in range(0, len(prompts), options.batch):
        batch = prompts.rows(range(first, min(first + options.batch, len(prompts))))
        sampler = Sample(max_new_tokens=options.tokens)
        rollouts = sampler.sample(loaded.policy, batch, options.completions, generator)
        ratio = loaded.policy.score(rollouts).logprobs - parts.reference.score(rollouts).logprobs
        ratios += ratio.sum(-1).flatten().tolist()
        tokens += int(rollouts.mask.sum())
    return {"kl": statistics.fmean(ratios), "kl_per_token": sum(ratios) / tokens}


def interval(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean with its 95 % t-interval; without one where there is a single value."""
    mean, bounds = statistics.fmean(values), t_interval(values)
    if bounds is None:
        return {"mean": mean, "each": list(values)}
    low, high = bounds
    return {"mean": mean, "low": low, "high": high, "each": list(values)}


def compared(found: dict[str, list[dict[str, float]]], name: str) -> dict[str, Any]:
    """Return the paired differences of one score between all objectives."""
    differences = {}
    for one, other in itertools.combinations(found, 2):
        pairs = zip(found[one], found[other], strict=True)
        differences[f"{one} - {other}"] = interval([left[name] - right[name] for left, right in pairs])
    return differences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--objectives", nargs="*", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/hh-harmless/pairs.jsonl.gz")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "benchmark-hh-objectives")
    parser.add_argument("--output", type=Path)
    for name, default in {"prompts": 128, "completions": 2, "tokens": 64, "batch": 16}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--overrides", nargs="*", default=[], help="key.sub=value, for every run")
    options = parser.parse_args()
    overrides = [f"task.data.train={options.data.resolve()}", "runtime.tensorboard=false", *options.overrides]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.objectives}
    for seed, name in itertools.product(range(options.seeds), options.objectives):
        found[name].append(run(name, seed, options, overrides))
        print(seed, name, json.dumps(found[name][-1]), flush=True)
    report = {
        "seeds": options.seeds,
        "overrides": options.overrides,
        "divergence": {name: getattr(options, name) for name in ("prompts", "completions", "tokens")},
        "machine": f"{platform.machine()}, {platform.system()}",
        "scores": {
            score: {name: interval([each[score] for each in runs]) for name, runs in found.items()}
            for score in (*SCORES, *DIVERGENCES)
        },
        "differences": {score: compared(found, score) for score in ("pairwise_accuracy", "auc", "kl")},
        "median_seconds": {name: statistics.median(each["seconds"] for each in runs) for name, runs in found.items()},
    }
    print(json.dumps(report["scores"], indent=1))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
