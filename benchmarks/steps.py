"""One improvement step and one grounding step of the quickstart recipe against their floors.

    python benchmarks/steps.py --output benchmarks/results/steps.json

A floor makes the same passes over the same shapes with bare modules, everything else prepared beforehand:

    improvement   sample   T cached passes of the frozen LM, the adaptor and the head over [K,1], a top-k draw each
                  value    one pass of the guidance over [K,1+T], no gradient
                  score    one pass of the frozen LM over [K,1+T], no gradient; adaptor, head, log-softmax and entropy
                           with gradient; backward; clipping; Adam
    grounding     sample   as above, over the drawn candidates
                  value    one pass of the guidance over all candidates, no gradient
                  judge    the classifier's backbone over K x N texts in length-sorted batches, its head at the mask
                  fit      `updates` times: a pass of the guidance over new and pooled completions with gradient,
                           Plackett-Luce, backward; clipping; Adam

Each round measures a step and its floor one after the other and gives one ratio; medians over the rounds are reported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForMaskedLM, DynamicCache

from tgframe.compose import build, machine_of
from tgframe.engine.grounding import Grounding
from tgframe.engine.improvement import Improvement
from tgframe.engine.optimization import Updater
from tgframe.engine.ranking import plackett_luce, subsets
from tgframe.engine.state import Run
from tgframe.engine.step import StepFiller
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import load_plugins
from tgframe.runtime.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
LENGTH, TOP_K = 5, 256


class Floors:
    """The passes of both steps, over bare modules of the run's own parts (copied, so that nothing is shared)."""

    def __init__(self, run: Run, classifier: Any) -> None:
        parts = run.parts
        self.model, self.adaptor = parts.policy.language_model, parts.policy.adaptor
        self.head = self.model.get_output_embeddings()
        self.backbone, self.worth = parts.guidance.backbone, parts.guidance.head
        self.classifier = classifier
        self.adam = torch.optim.Adam(self.adaptor.parameters(), lr=1e-5)
        fitted = [*self.backbone.parameters(), *self.worth.parameters()]
        self.fitted = [parameter for parameter in fitted if parameter.requires_grad]
        self.fit_adam = torch.optim.Adam(self.fitted, lr=1e-6)
        self.start = int(parts.policy.tokenizer.bos_token_id)

    @torch.inference_mode()
    def sample(self, rows: int) -> torch.Tensor:
        cache, step = DynamicCache(config=self.model.config), torch.full((rows, 1), self.start)
        drawn = [step]
        for _ in range(LENGTH):
            states = self.model.base_model(step, past_key_values=cache, use_cache=True).last_hidden_state[:, -1]
            best, ids = self.head(self.adaptor(states)).topk(TOP_K)
            step = ids.gather(1, torch.multinomial(best.softmax(-1), 1))
            drawn.append(step)
        return torch.cat(drawn, 1)

    def value(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.worth(self.backbone(tokens, use_cache=False).last_hidden_state[:, 1:]).squeeze(-1)

    def improvement(self, k: int) -> None:
        tokens = self.sample(k).clone()
        with torch.no_grad():
            values = self.value(tokens)
            states = self.model.base_model(tokens).last_hidden_state[:, :-1]
        logprobs = self.head(self.adaptor(states)).log_softmax(-1)
        chosen = logprobs.gather(-1, tokens[:, 1:, None]).squeeze(-1)
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        self.adam.zero_grad()
        (-(values * chosen).mean() - 0.1 * entropy.mean()).backward()
        torch.nn.utils.clip_grad_norm_(self.adaptor.parameters(), 5.0)
        self.adam.step()

    @torch.inference_mode()
    def judge(self, batches: list[Any]) -> None:
        for ids, mask, positions in batches:
            states = self.classifier.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
            self.classifier.lm_head(states[torch.arange(len(ids)), positions])

    def fit(self, rows: int, updates: int, size: int, count: int) -> None:
        tokens, truth = torch.randint(10, 5000, (rows, LENGTH + 1)), torch.rand(1, rows)
        for _ in range(updates):
            scores = self.value(tokens).sum(-1)
            index = subsets(rows, size, count, torch.Generator(), 1)[0]
            loss = plackett_luce(scores[index], truth[0][index]).loss
            self.fit_adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.fitted, 5.0)
            self.fit_adam.step()


def make_batches(run: Run, texts: list[str]) -> list[Any]:
    """Return the judge's own batches for these prompts, padded beforehand."""
    from tgframe_prompts.batching import by_length, pad

    scorer = run.parts.task.scorer
    places = list(range(len(scorer.inputs["train"].texts)))
    inputs = scorer.inputs["train"].join([text for text in texts for _ in places], places * len(texts))
    batches = []
    for batch in by_length([len(each.ids) for each in inputs], scorer.batch_tokens):
        ids, mask = pad([inputs[i].ids for i in batch], scorer.classifier.pad_id)
        batches.append((ids, mask, torch.tensor([inputs[i].position for i in batch])))
    return batches


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(run: Run, classifier: Any, rounds: int) -> dict[str, Any]:
    """Return medians of seconds and of paired ratios for both steps."""
    schedule = run.schedule
    ground = schedule.ground
    assert ground is not None
    filler, floors = StepFiller(run), Floors(run, classifier)
    improvement, grounding = Improvement(run, filler), Grounding(run, filler, ground)
    updater = Updater(run.parts.guidance.trainable(), run.optimizers.guidance, run.machine, "min")
    options = run.parts.ground_sampler.options
    drawn = options.candidates - round(options.edits * options.candidates)
    found: dict[str, list[float]] = {"improvement": [], "improvement floor": [], "grounding": [], "grounding floor": []}
    judged: list[str] = []
    judge = run.parts.preference.judge

    def listening(rollouts: Any) -> Any:
        judged[:] = rollouts.texts[0]
        return judge(rollouts)

    object.__setattr__(run.parts.preference, "judge", listening)
    for turn in range(rounds + 2):
        times = {"improvement": seconds(improvement.step)}
        times["improvement floor"] = seconds(lambda: floors.improvement(schedule.improve.completions))
        times["grounding"] = seconds(lambda: grounding._step(updater))
        batches = make_batches(run, judged)
        pooled = min(ground.pool, (turn + 1) * ground.completions) + ground.completions

        def floor(batches: list[Any] = batches, pooled: int = pooled) -> None:
            tokens = floors.sample(drawn)
            with torch.no_grad():
                floors.value(tokens.repeat(options.candidates // drawn, 1))
            floors.judge(batches)
            floors.fit(pooled, ground.updates, ground.ranking.size or pooled, ground.ranking.count)

        times["grounding floor"] = seconds(floor)
        if turn >= 2:  # the first turns warm up
            for name, value in times.items():
                found[name].append(value)
    report: dict[str, Any] = {name: {"median_seconds": statistics.median(values)} for name, values in found.items()}
    for name in ("improvement", "grounding"):
        ratios = [ours / floor for ours, floor in zip(found[name], found[f"{name} floor"], strict=True)]
        report[name] |= {"median_ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    return {"rounds": rounds, "threads": torch.get_num_threads(), **report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "quickstart.yaml")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    plugins = load_plugins()
    loaded = load_recipe(options.recipe, (), plugins)
    recipe, machine = loaded.recipe, machine_of(loaded.recipe)
    with tempfile.TemporaryDirectory() as scratch, RunFolder.create(Path(scratch) / "run") as files:
        context, parts = build(loaded, plugins, machine)
        folder = context.locate(recipe.task.classifier.model)  # a copy without what the task has changed in its own
        classifier = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
        run = Run(parts, recipe.schedule, recipe.optimizer, recipe.runtime, machine, files, plugins.manager.hook)
        found = measure(run, classifier, options.rounds)
    for name in ("improvement", "grounding"):
        ours, floor = found[name], found[f"{name} floor"]
        print(
            f"{name:<12} {ours['median_seconds']:.3f} s, floor {floor['median_seconds']:.3f} s, "
            f"ratio {ours['median_ratio']:.2f} [{ours['low']:.2f}, {ours['high']:.2f}]"
        )
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
