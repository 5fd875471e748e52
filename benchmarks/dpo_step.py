"""One training step of DPO against TRL's, and against bare passes of the same shape.

    python benchmarks/dpo_step.py --output benchmarks/results/dpo_step.json

All three train the same model on the same pairs, all of one length, in single precision, without dropout, with AdamW
and clipping; TRL and tgframe are given texts that become the same tokens. Two settings:

    remembered   the reference's log-probabilities are known beforehand: TRL's `precompute_ref_log_probs`, tgframe's
                 memory after one pass over the data
    each step    the reference is asked anew in every step

The floor is one pass of the policy over prompts with both completions, with gradient, log-softmax over the whole
vocabulary, the loss, backward, clipping, AdamW; where the reference is asked anew, one pass of it without gradient.
Steps of TRL run in its own loop, from `on_step_begin` to `on_step_end`, with reading and collating left out; ours are
whole, with reading, tokenizing and logging. Each round measures all three one after the other; medians over the rounds
are reported.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from tgframe.compose import build, machine_of
from tgframe.engine.improvement import Improvement
from tgframe.engine.reference import Memory
from tgframe.engine.state import Run
from tgframe.engine.step import StepFiller
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import load_plugins
from tgframe.runtime.run_folder import RunFolder

BETA, LR, CLIP, WARM = 0.1, 1e-6, 5.0, 2
SETTINGS = ("remembered", "each step")


def make_pairs(tokenizer: Any, count: int, prompt: int, completion: int) -> list[dict[str, str]]:
    """Return pairs of texts of exactly so many tokens (completions get an end token more), made of one-token words."""
    words = [word for word in map(tokenizer.decode, range(len(tokenizer))) if word[:1] == " " and word[1:].isalpha()]
    words = [word for word in words if len(tokenizer(word, add_special_tokens=False).input_ids) == 1]
    generator = torch.Generator().manual_seed(0)

    def text(length: int) -> str:
        return "".join(words[int(place)] for place in torch.randint(len(words), (length,), generator=generator))

    made = [{"prompt": text(prompt), "chosen": text(completion), "rejected": text(completion)} for _ in range(count)]
    for row in made:
        whole = tokenizer(row["prompt"] + row["chosen"], add_special_tokens=False).input_ids
        assert len(whole) == prompt + completion, "words must be tokens wherever they stand"
    return made


class Ours:
    """The improvement step of a run."""

    def __init__(self, model: str, pairs: list[dict[str, str]], batch: int, setting: str, files: RunFolder) -> None:
        plugins = load_plugins()
        data = files.path / "pairs.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in pairs), encoding="utf-8")
        recipe = {
            "task": {"type": "preferences", "data": {"type": "files", "train": str(data)}},
            "policy": {"type": "causal", "model": model},
            "reference": {"type": "initial"},
            "sampler": {"type": "dataset"},
            "preference": {"type": "dataset"},
            "guidance": {"type": "implicit", "beta": BETA},
            "aggregator": {"type": "sum"},
            "objective": {"type": "dpo"},
            "optimizer": {"policy": {"type": "adamw", "lr": LR, "clip": CLIP}},
            "schedule": {"steps": 10**6, "improve": {"prompts": batch, "completions": 2}},
            "runtime": {"device": "cpu", "precision": "fp32", "samples_every": 10**6, "tensorboard": False},
        }
        loaded = load_recipe(recipe, (), plugins)
        self.machine = machine = machine_of(loaded.recipe)
        _, self.parts = build(loaded, plugins, machine)
        options, parts = loaded.recipe, self.parts
        run = Run(parts, options.schedule, options.optimizer, options.runtime, machine, files, plugins.manager.hook)
        self.step = Improvement(run, StepFiller(run)).step
        if setting == "each step":
            parts.reference._memory = Memory(0)
            return
        everything = parts.task.prompts(parts.policy, "train", None, machine.generator("all"))
        parts.reference.score(parts.sampler.sample(parts.policy, everything, 2, machine.generator("all")))


class Floor:
    """Bare passes."""

    def __init__(self, folder: str, batch: int, length: int, completion: int, setting: str) -> None:
        self.policy = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        self.adam = torch.optim.AdamW(self.policy.parameters(), lr=LR)
        self.tokens = torch.randint(1, self.policy.config.vocab_size, (2 * batch, length))
        self.batch, self.completion, self.setting = batch, completion, setting
        with torch.no_grad():
            self.known = self.logprobs(self.reference)

    def logprobs(self, model: Any) -> torch.Tensor:
        states = model.base_model(self.tokens).last_hidden_state[:, -self.completion - 1 : -1]
        logits = model.get_output_embeddings()(states).log_softmax(-1)
        return logits.gather(-1, self.tokens[:, -self.completion :, None]).squeeze(-1).sum(-1)

    def step(self) -> None:
        known = self.known
        if self.setting == "each step":
            with torch.no_grad():
                known = self.logprobs(self.reference)
        reward = BETA * (self.logprobs(self.policy) - known)
        loss = -logsigmoid(reward[: self.batch] - reward[self.batch :]).mean()
        self.adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), CLIP)
        self.adam.step()


class Rounds(TrainerCallback):
    """Measures TRL's step from begin to end, and then the others."""

    def __init__(self, others: dict[str, Callable[[], None]]) -> None:
        self.others = others
        self.found: dict[str, list[float]] = {name: [] for name in ("trl", *others)}

    def on_step_begin(self, *given: Any, **named: Any) -> None:
        self.start = time.perf_counter()

    def on_step_end(self, *given: Any, **named: Any) -> None:
        self.found["trl"].append(time.perf_counter() - self.start)
        for name, work in self.others.items():
            start = time.perf_counter()
            work()
            self.found[name].append(time.perf_counter() - start)


def make_trainer(
    folder: str, tokenizer: Any, pairs: list[dict[str, str]], batch: int, setting: str, steps: int, out: Path
) -> Any:
    """Return TRL's trainer; its prompts begin with the start token, as ours do."""
    start = "" if tokenizer("a").input_ids[0] == tokenizer.bos_token_id else tokenizer.bos_token
    rows = [{**row, "prompt": start + row["prompt"]} for row in pairs]
    config = trl.DPOConfig(
        str(out),
        beta=BETA,
        learning_rate=LR,
        lr_scheduler_type="constant",
        max_grad_norm=CLIP,
        optim="adamw_torch",
        per_device_train_batch_size=batch,
        max_steps=steps,
        max_length=None,
        precompute_ref_log_probs=setting == "remembered",
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return trl.DPOTrainer(model, None, config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def locate(model: str) -> str:
    """Return the folder of ``prefix/name``; other names as they are."""
    prefix, _, name = model.partition("/")
    sources = load_plugins().registries["model"]
    return str(sources.load(prefix)().locate(name)) if prefix in sources.names() else model


def require_same_tokens(trainer: Any, ours: Ours) -> None:
    """Raise unless both sides read the same sequences."""
    batch = trainer.data_collator(list(trainer.train_dataset))
    theirs = {
        tuple(row[mask.bool()].tolist())
        for row, mask in zip(*(batch[name] for name in ("input_ids", "attention_mask")), strict=True)
    }
    parts, machine = ours.parts, ours.machine
    prompts = parts.task.prompts(parts.policy, "train", None, machine.generator("check"))
    rollouts = parts.sampler.sample(parts.policy, prompts, 2, machine.generator("check"))
    start = parts.policy.special.start
    found = {
        (start, *prompts.tokens[b][prompts.mask[b]].tolist(), *rollouts.tokens[b, k][rollouts.mask[b, k]].tolist())
        for b in range(len(prompts))
        for k in range(2)
    }
    if found != theirs:
        raise SystemExit("the two sides read different tokens: use a model whose tokenizer keeps words apart")


def measure(options: argparse.Namespace, setting: str, scratch: Path) -> dict[str, Any]:
    """Return medians of seconds and of paired ratios of one setting."""
    folder = locate(options.model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pairs = make_pairs(tokenizer, options.pairs * 4, options.prompt, options.completion)
    name = setting.replace(" ", "-")
    with RunFolder.create(scratch / f"run-{name}") as files:
        ours = Ours(options.model, pairs, options.pairs, setting, files)
        # Start token, prompt, completion with its end token: what the policy scores are all but the first two.
        length = 1 + options.prompt + options.completion + 1
        floor = Floor(folder, options.pairs, length, options.completion + 1, setting)
        rounds = Rounds({"ours": ours.step, "floor": floor.step})
        steps = options.rounds + WARM
        trainer = make_trainer(folder, tokenizer, pairs, options.pairs, setting, steps, scratch / f"trl-{name}")
        require_same_tokens(trainer, ours)
        trainer.add_callback(rounds)
        trainer.train()
    found = {name: seconds[WARM:] for name, seconds in rounds.found.items()}
    report: dict[str, Any] = {f"{name} seconds": statistics.median(seconds) for name, seconds in found.items()}
    for other in ("trl", "floor"):
        ratios = [one / two for one, two in zip(found["ours"], found[other], strict=True)]
        report[f"ours / {other}"] = {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded/causal", help="a causal model: prefix/name, folder or hub name")
    for name, default in {"pairs": 8, "prompt": 64, "completion": 64, "rounds": 15}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        settings = {setting: measure(options, setting, Path(scratch)) for setting in SETTINGS}
    found = {
        "model": options.model,
        "pairs": options.pairs,
        "tokens": {"prompt": options.prompt, "completion": options.completion + 1},
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {"torch": torch.__version__, "trl": trl.__version__},
        "settings": settings,
    }
    print(json.dumps(found, indent=2))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
