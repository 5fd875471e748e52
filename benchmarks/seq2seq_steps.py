"""Steps and sampling of an encoder-decoder against bare passes, against ``generate()``, and against encoding each row.

    python benchmarks/seq2seq_steps.py --output benchmarks/results/seq2seq_steps.json

The recipe is recipes/summarize-docstrings.yaml (a Pegasus of 3.7M parameters as policy and as guidance), on the CPU,
with one thread. Of its train rows those are taken whose sources fill all 128 tokens, and every sampled completion
has 32 tokens, so that no side saves a pass. Steps are whole, with reading, tokenizing, ROUGE and METEOR, and logging.
A floor makes the same passes over the same shapes with bare modules, all else prepared beforehand, and judges nothing:

    grounding    sample   the encoder over the prompts, 32 cached passes of the decoder, a top-k draw after each
                 value    one pass of the guidance over the completions, no gradient
                 fit      `updates` times: a pass of the guidance with gradient, Plackett-Luce, backward; clipping; Adam
    improvement  value    one pass of the guidance over the targets, no gradient
                 score    one pass of the policy over them with gradient, the head where there is a token; backward;
                          clipping; Adam

The encoder reads a prompt once for its K completions, in sampling and in the fit. `each row` is the same work with
every prompt given K times, and one completion of each. `generate()` writes as many tokens after the same prompts; it
makes no text of them, as ours does.

Each round measures everything, one after the other: ratios are medians of the rounds' own, with the 95 % sign interval.
tgframe turns on torch's deterministic algorithms for the whole process: only its own works run under them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import torch
from paired import ratios, told, write
from seq2seq_floors import TOP_K, Floors

from tgframe import Prompts, Rollouts, Step
from tgframe.builtin.samplers import Greedy
from tgframe.compose import build, machine_of
from tgframe.engine.grounding import Grounding
from tgframe.engine.improvement import Improvement
from tgframe.engine.optimization import Updater
from tgframe.engine.ranking import plackett_luce
from tgframe.engine.state import Run
from tgframe.engine.step import StepFiller
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import load_plugins
from tgframe.runtime.run_folder import RunFolder

RECIPE = Path(__file__).parent.parent / "recipes" / "summarize-docstrings.yaml"
READ, WRITTEN, WARM = 128, 32, 2
SIZES, BATCH, K = (4, 8, 16), 8, 4
OVERRIDES = (
    f"task.max_source_tokens={READ}",
    f"sampler={{type: top-k, top_k: {TOP_K}, min_new_tokens: {WRITTEN}, max_new_tokens: {WRITTEN}}}",
    f"schedule.ground.prompts={BATCH}",
    f"schedule.ground.completions={K}",
    "runtime={seed: 0, device: cpu, precision: fp32, samples_every: 1000000, tensorboard: false}",
)
FLOOR, EACH, GENERATE = "floor", "each row", "generate()"
LIMITS = {
    f"grounding step / {FLOOR}": 1.3,
    f"improvement step / {FLOOR}": 1.15,
    f"greedy / {GENERATE}": 1.0,
    f"top-k / {GENERATE}": 1.0,
}
Work = Callable[[], Any]


@attrs.frozen
class Pair:
    """Two works of which the ratio is wanted: ours, and what it is held against."""

    name: str
    against: str
    ours: Work
    theirs: Work

    def __str__(self) -> str:
        return f"{self.name} / {self.against}"

    def seconds(self) -> tuple[float, float]:
        """Return how long both take, one right after the other."""
        return seconds(self.ours, ours=True), seconds(self.theirs, ours=self.against == EACH)


def seconds(work: Work, ours: bool) -> float:
    torch.use_deterministic_algorithms(ours, warn_only=True)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Works:
    """What is measured, on the parts of one run."""

    def __init__(self, run: Run) -> None:
        self.run, self.parts = run, run.parts
        keep_full(run)
        self.floors = Floors(run)
        self.updater = Updater(self.parts.guidance.trainable(), run.optimizers.guidance, run.machine, "min")
        self.many = self.prompts(BATCH * K)
        self.few = self.many.rows(range(BATCH))

    def prompts(self, count: int) -> Prompts:
        return self.parts.task.prompts(self.parts.policy, "train", count, self.run.machine.generator("timed"))

    def steps(self) -> list[Pair]:
        run, filler, floors, read = self.run, StepFiller(self.run), self.floors, listening(self.run)
        ground = run.schedule.ground
        assert ground is not None
        grounding, improvement = Grounding(run, filler, ground), Improvement(run, filler)
        shape = ground.completions, WRITTEN, ground.updates
        return [
            Pair(
                "grounding step",
                FLOOR,
                lambda: grounding._step(self.updater),
                lambda: floors.grounding(read[0], *shape),
            ),
            Pair("improvement step", FLOOR, improvement.step, lambda: floors.improvement(read[0])),
        ]

    def encoding(self, k: int) -> list[Pair]:
        """Return sampling and fit with each prompt encoded once, against each encoded for each of its completions."""
        apart = self.few.rows([row for row in range(BATCH) for _ in range(k)])
        rollouts = self.sampling(self.few, k)()
        alone = Rollouts(
            apart,
            rollouts.tokens.flatten(0, 1).unsqueeze(1),
            rollouts.mask.flatten(0, 1).unsqueeze(1),
            tuple((text,) for group in rollouts.texts for text in group),
        )
        return [
            Pair(f"sampling, K={k}", EACH, self.sampling(self.few, k), self.sampling(apart, 1)),
            Pair(f"fit, K={k}", EACH, self.fitting(rollouts, k), self.fitting(alone, k)),
        ]

    def generating(self) -> list[Pair]:
        floors, greedy = self.floors, Greedy(WRITTEN, WRITTEN)
        drawn: dict[str, Any] = {"do_sample": True, "top_k": TOP_K, "num_return_sequences": K}
        return [
            Pair(
                "greedy",
                GENERATE,
                self.sampling(self.many, 1, greedy),
                lambda: floors.generate(self.many, WRITTEN, do_sample=False),
            ),
            Pair("top-k", GENERATE, self.sampling(self.few, K), lambda: floors.generate(self.few, WRITTEN, **drawn)),
        ]

    def sampling(self, prompts: Prompts, k: int, sampler: Any = None) -> Callable[[], Rollouts]:
        sampler, generator = sampler or self.parts.sampler, self.run.machine.generator("timed")
        return lambda: sampler.sample(self.parts.policy, prompts, k, generator)

    def fitting(self, rollouts: Rollouts, k: int) -> Work:
        """Return one update of the guidance on groups of ``k``, however the rollouts group them."""
        step, truth = Step(rollouts.prompts).with_fields(rollouts=rollouts), torch.rand(BATCH, k)

        def update() -> None:
            found = self.parts.guidance.values(step)
            scores = self.parts.aggregator.aggregate(found.values, found.mask)
            self.updater.update(plackett_luce(scores.view(BATCH, k), truth).loss)

        return update


def keep_full(run: Run) -> None:
    """Leave those train rows alone whose sources have all the tokens that they may have."""
    task: Any = run.parts.task
    prompts = task.prompts(run.parts.policy, "train", None, run.machine.generator("timed"))
    kept = [name for name, length in zip(prompts.ids, prompts.mask.sum(-1).tolist(), strict=True) if length == READ]
    task.rows["train"] = task.rows["train"].only(kept)


def listening(run: Run) -> list[Prompts]:
    """Return a list that always holds what the task gave last, and nothing else."""
    task: Any = run.parts.task
    asked = task.prompts
    given: list[Prompts] = []

    def prompts(*wanted: Any) -> Prompts:
        given[:] = [asked(*wanted)]
        return given[0]

    task.prompts = prompts
    return given


def measure(run: Run, rounds: int) -> dict[str, Any]:
    """Return medians of seconds, paired ratios, and tokens per second."""
    works = Works(run)
    pairs = [*works.steps(), *(pair for k in SIZES for pair in works.encoding(k)), *works.generating()]
    judged = works.sampling(works.few, K)()
    found: dict[str, list[tuple[float, float]]] = {str(pair): [] for pair in pairs}
    judging = []
    for turn in range(WARM + rounds):
        spent = {str(pair): pair.seconds() for pair in pairs}
        if turn >= WARM:
            judging.append(seconds(lambda: run.parts.preference.judge(judged), ours=True))
            for name, both in spent.items():
                found[name].append(both)
    report: dict[str, Any] = {"seconds": {"judging": statistics.median(judging)}, "ratios": {}, "tokens per second": {}}
    for pair in pairs:
        ours, theirs = zip(*found[str(pair)], strict=True)
        medians = {pair.name: statistics.median(ours), f"{pair.name}, {pair.against}": statistics.median(theirs)}
        report["seconds"] |= medians
        report["ratios"][str(pair)] = ratios(ours, theirs)
        if pair.against == GENERATE:
            tokens = len(works.many) * WRITTEN
            report["tokens per second"] |= {name: tokens / median for name, median in medians.items()}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    plugins = load_plugins()
    loaded = load_recipe(RECIPE, OVERRIDES, plugins)
    recipe, machine = loaded.recipe, machine_of(loaded.recipe)
    with tempfile.TemporaryDirectory() as scratch, RunFolder.create(Path(scratch) / "run") as files:
        _, parts = build(loaded, plugins, machine)
        run = Run(parts, recipe.schedule, recipe.optimizer, recipe.runtime, machine, files, plugins.manager.hook)
        found = measure(run, options.rounds)
    about = {
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
    }
    for name, value in found["ratios"].items():
        print(told(name, value, LIMITS.get(name)))
    for name, value in found["tokens per second"].items():
        print(f"{name:<44} {value:.0f} tokens per second")
    write({**about, **found}, options.output)


if __name__ == "__main__":
    main()
