"""The sides of ``rloo_step.py``: one step of RLOO by tgframe, by TRL's trainers, and by bare passes."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
)

from tgframe import Step
from tgframe.compose import build, machine_of
from tgframe.engine.improvement import Improvement
from tgframe.engine.sharing import models as models_of
from tgframe.engine.state import Run
from tgframe.engine.step import StepFiller
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import load_plugins
from tgframe.runtime.processes import ALONE, Processes
from tgframe.runtime.run_folder import RunFolder

KL, LR, CLIP, END = 0.05, 1e-6, 5.0, "<end>"
SIZES = {
    "4x128": {"n_layer": 4, "n_embd": 128, "n_head": 4, "vocab_size": 8_000},
    "6x384": {"n_layer": 6, "n_embd": 384, "n_head": 6, "vocab_size": 16_000},
    "12x512": {"n_layer": 12, "n_embd": 512, "n_head": 8, "vocab_size": 16_000},
    "gpt2-medium": {"n_layer": 24, "n_embd": 1_024, "n_head": 16, "vocab_size": 50_257},
}
Work = Callable[[], Any]


@attrs.frozen
class Shape:
    """What one step is made of."""

    size: str
    prompts: int
    completions: int
    prompt: int
    """Tokens that are read before a completion, the start token included."""
    tokens: int
    device: str
    precision: str

    @property
    def rows(self) -> int:
        return self.prompts * self.completions


def distinct(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """Return the share of each completion's tokens that are different: the reward of all sides."""
    return [len(set(ids)) / len(ids) for ids in completion_ids]


def write_model(shape: Shape, folder: Path) -> None:
    """Write a random GPT-2 and a tokenizer with a word for every id of its vocabulary; the last id is the end token."""
    sizes = SIZES[shape.size]
    end = sizes["vocab_size"] - 1
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(**sizes, n_positions=1_024, bos_token_id=end, eos_token_id=end)).save_pretrained(folder)
    words = {f"w{index}": index for index in range(end)} | {END: end}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos_token": END, "eos_token": END, "pad_token": END}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def make_prompts(shape: Shape, steps: int) -> list[str]:
    """Return prompts for so many steps, each of ``shape.prompt`` tokens with the start token before them."""
    generator = torch.Generator().manual_seed(0)
    size = (steps * shape.prompts, shape.prompt - 1)
    drawn = torch.randint(SIZES[shape.size]["vocab_size"] - 1, size, generator=generator)
    return [" ".join(f"w{index}" for index in row) for row in drawn.tolist()]


def recipe_of(shape: Shape, folder: Path, data: Path, dense: bool) -> dict[str, Any]:
    """Return the recipe of RLOO; with ``dense`` that of token guidance by a model of the policy's size."""
    objective: dict[str, Any] = {"type": "bandit", "entropy": 0.0, "normalize": False, "kl": KL}
    length = {"max_new_tokens": shape.tokens, "min_new_tokens": shape.tokens}
    recipe: dict[str, Any] = {
        "task": {"type": "preferences", "data": {"type": "files", "train": str(data)}},
        "policy": {"type": "causal", "model": str(folder)},
        "reference": {"type": "initial"},
        "sampler": {"type": "sample", **length},
        "preference": {"type": "function", "call": "rloo_sides:distinct"},
        "objective": objective,
        "optimizer": {"policy": {"type": "adam", "lr": LR, "clip": CLIP}},
        "schedule": {"steps": 10**6, "improve": {"prompts": shape.prompts, "completions": shape.completions}},
        "runtime": {
            "device": shape.device,
            "precision": shape.precision,
            "samples_every": 10**6,
            "tensorboard": False,
        },
    }
    if dense:
        recipe["objective"] = {"type": "reinforce-maxent", "entropy": 0.0, "center": "group", "kl": KL}
        recipe |= {"guidance": {"type": "learned", "model": str(folder)}, "aggregator": {"type": "mean"}}
        recipe["schedule"]["ground"] = {"steps": 1, "completions": shape.completions}  # asked for, and never run
    return recipe


class Ours:
    """The improvement step of a run."""

    def __init__(
        self,
        shape: Shape,
        folder: Path,
        scratch: Path,
        steps: int,
        dense: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        plugins = load_plugins()
        data = scratch / "prompts.jsonl"
        rows = [{"prompt": text, "completion": " w0"} for text in make_prompts(shape, steps)]  # completions unread
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        loaded = load_recipe(recipe_of(shape, folder, data, dense), (), plugins)
        options = loaded.recipe
        self.shape = shape
        self.machine = machine = machine_of(options, processes)
        _, self.parts = build(loaded, plugins, machine)
        files = RunFolder.create(scratch / f"run-{'dense' if dense else 'rloo'}", False, machine.is_main)
        run = Run(
            self.parts, options.schedule, options.optimizer, options.runtime, machine, files, plugins.manager.hook
        )
        machine.divide(models_of(self.parts))
        self.filler = StepFiller(run)
        improvement = Improvement(run, self.filler)
        self.updater = improvement.updater
        self.step = improvement.step

    def prompts(self) -> Any:
        return self.parts.task.prompts(self.parts.policy, "train", self.shape.prompts, self.machine.generator("timed"))

    def sampling(self) -> Work:
        """Return sampling alone, from tokenized prompts to texts."""
        prompts, generator = self.prompts(), self.machine.generator("timed")
        return lambda: self.parts.sampler.sample(self.parts.policy, prompts, self.shape.completions, generator)

    def valuing(self) -> Work:
        """Return one pass of the guidance over what was sampled."""
        step = Step(self.prompts()).with_fields(rollouts=self.sampling()())
        return lambda: self.filler.values(step)


class Floor:
    """Bare passes: a cached sampling loop, one pass of the reference, one of the policy with its gradient, Adam.

    Draws invert the cumulative distribution, which takes half the time of ``torch.multinomial``.
    """

    def __init__(self, shape: Shape, folder: Path) -> None:
        self.shape = shape
        self.policy = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(shape.device).eval()
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        self.adam = torch.optim.Adam(self.policy.parameters(), lr=LR)
        end = self.policy.config.vocab_size - 1
        self.read = torch.randint(end, (shape.prompts, shape.prompt), device=shape.device)
        self.read[:, 0] = end

    def passes(self) -> contextlib.AbstractContextManager[Any]:
        if self.shape.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.shape.device.partition(":")[0], dtype=torch.bfloat16)

    def sample(self) -> torch.Tensor:
        """Return completions int64 ``[BK,T]``: each prompt is read once, and then one token a step for all rows."""
        k, cache, written = self.shape.completions, DynamicCache(config=self.policy.config), []
        with torch.inference_mode(), self.passes():
            logits = self.policy(self.read, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            cache.batch_repeat_interleave(k)
            logits = logits.repeat_interleave(k, 0)
            for step in range(self.shape.tokens):
                tokens = drawn(logits.float())
                written.append(tokens)
                if step + 1 < self.shape.tokens:
                    logits = self.policy(tokens, past_key_values=cache, use_cache=True).logits[:, -1]
            return torch.cat(written, -1)

    def logprobs(self, model: Any, whole: torch.Tensor) -> torch.Tensor:
        with self.passes():
            states = model.base_model(whole[:, :-1]).last_hidden_state[:, self.shape.prompt - 1 :]
            logits = model.get_output_embeddings()(states)
        chosen = whole[:, self.shape.prompt :, None]
        return logits.float().log_softmax(-1).gather(-1, chosen).squeeze(-1)

    def step(self) -> None:
        completions = self.sample().clone()
        whole = torch.cat([self.read.repeat_interleave(self.shape.completions, 0), completions], -1)
        rewards = torch.tensor(distinct(completions.tolist()), device=self.shape.device)
        with torch.no_grad():
            known = self.logprobs(self.reference, whole)
        logprobs = self.logprobs(self.policy, whole)
        shaped = (rewards - KL * (logprobs.detach() - known).sum(-1)).view(-1, self.shape.completions)
        others = (shaped.sum(-1, keepdim=True) - shaped) / (self.shape.completions - 1)
        loss = -((shaped - others).view(-1, 1) * logprobs).mean()
        self.adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), CLIP)
        self.adam.step()


def drawn(logits: torch.Tensor) -> torch.Tensor:
    """Return a token for each row of ``[N,V]``, int64 ``[N,1]``."""
    cumulative = logits.softmax(-1).cumsum(-1)
    level = torch.rand(len(logits), 1, device=logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, level).clamp_max(logits.shape[-1] - 1)


def make_trainer(kind: str, shape: Shape, folder: Path, steps: int, out: Path) -> Any:
    """Return TRL's trainer ``rloo`` or ``grpo``: new completions for each update, nothing logged, nothing saved.

    Its prompts begin with the start token, as ours do. It is not made to write full lengths, which would cost it a
    processor of logits a token: an end token that it draws, one in a vocabulary, shortens one row, and no pass.
    """
    import trl
    from datasets import Dataset

    config = (trl.RLOOConfig if kind == "rloo" else trl.GRPOConfig)(
        str(out),
        beta=KL,
        num_generations=shape.completions,
        num_iterations=1,
        max_completion_length=shape.tokens,
        per_device_train_batch_size=shape.rows,
        learning_rate=LR,
        lr_scheduler_type="constant",
        max_grad_norm=CLIP,
        optim="adamw_torch",
        max_steps=steps,
        disable_dropout=True,
        gradient_checkpointing=False,
        use_cpu=shape.device == "cpu",
        bf16=shape.precision == "bf16",
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")
    rows = Dataset.from_list([{"prompt": f"{END} {text}"} for text in make_prompts(shape, steps)])
    made = trl.RLOOTrainer if kind == "rloo" else trl.GRPOTrainer
    trainer = made(model, distinct, config, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer


class Rounds(TrainerCallback):
    """Measures TRL's step from begin to end, and then the works of the other sides.

    tgframe turns on torch's deterministic algorithms for the whole process: only its own works run under them.
    """

    def __init__(self, kind: str, works: Mapping[str, Work], ours: set[str], wait: Work) -> None:
        self.kind, self.works, self.ours, self.wait = kind, works, ours, wait
        self.found: dict[str, list[float]] = {name: [] for name in (kind, *works)}

    def on_step_begin(self, *given: Any, **named: Any) -> None:
        torch.use_deterministic_algorithms(False)
        self.wait()
        self.start = time.perf_counter()

    def on_step_end(self, *given: Any, **named: Any) -> None:
        self.wait()
        self.found[self.kind].append(time.perf_counter() - self.start)
        for name, work in self.works.items():
            torch.use_deterministic_algorithms(name in self.ours, warn_only=True)
            start = time.perf_counter()
            work()
            self.wait()
            self.found[name].append(time.perf_counter() - start)
