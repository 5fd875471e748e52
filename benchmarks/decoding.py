"""What sampling costs: against a bare cached loop, against ``generate()``, and against its own size.

python benchmarks/decoding.py --output benchmarks/results/decoding.json

The model is a random GPT-2 (4 layers, width 128, vocabulary 8,000). The floor makes these passes and nothing else: one
over the prompts (16 tokens each), then one a new token (31 of one token each, with a key-value cache), a draw from the
50 likeliest after each (32). Pairs run one right after the other, in turns; a ratio is the median over pairs.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from tgframe import Context, Limits
from tgframe.builtin.samplers import Sample, TopK
from tgframe.policies.causal import Causal
from tgframe.runtime.machine import Machine
from tgframe.testing import make_tokenizer

VOCABULARY, READ, WRITTEN, ROWS, TOP_K = 8_000, 16, 32, 64, 50
LIMITS = {"bare_loop": 1.3, "generate": 1.0, "slope": 1.1}
SIZES = {"K": (8, 16, 32, 64, 128), "B": (8, 16, 32, 64, 128), "T": (16, 32, 64, 128)}
Work = Callable[[], Any]


def make_policy(machine: Machine) -> Any:
    end = VOCABULARY - 1
    config = GPT2Config(
        vocab_size=VOCABULARY, n_positions=512, n_embd=128, n_layer=4, n_head=4, bos_token_id=end, eos_token_id=end
    )
    with tempfile.TemporaryDirectory() as name:
        GPT2LMHeadModel(config).save_pretrained(name)
        make_tokenizer().save_pretrained(name)
        policy: Any = Causal(name).build(Context(machine, str, Path(name)))
    return policy


def make_prompts(policy: Any, count: int) -> Any:
    # With the start token before them, the model reads READ tokens a prompt.
    texts = [f"{number:015d}"[-(READ - 1) :] for number in range(count)]
    return policy.encode(texts, [str(number) for number in range(count)])


def sampling(policy: Any, b: int, k: int, t: int = WRITTEN, sampler: Any = None) -> Work:
    prompts = make_prompts(policy, b)
    sampler = sampler or TopK(t, t, TOP_K)
    return lambda: sampler.sample(policy, prompts, k, torch.Generator())


def bare_loop(policy: Any, b: int, k: int) -> Work:
    """Return the floor: the passes of the module's docstring."""
    model, read = policy.model, torch.randint(256, (b, READ), device=policy.model.device)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        cache, written = DynamicCache(config=model.config), []
        logits = model(read, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        if k > 1:
            cache.batch_repeat_interleave(k)
            logits = logits.repeat_interleave(k, 0)
        for step in range(WRITTEN):
            best, tokens = logits.topk(TOP_K)
            tokens = tokens.gather(-1, torch.multinomial(best.softmax(-1), 1))
            written.append(tokens)
            if step + 1 < WRITTEN:
                logits = model(tokens, past_key_values=cache, use_cache=True).logits[:, -1]
        return torch.cat(written, -1)

    return run


def generate(policy: Any, b: int, k: int) -> Work:
    """Return the same by ``generate()`` of transformers."""
    read = torch.randint(256, (b, READ), device=policy.model.device)
    options = {"do_sample": True, "top_k": TOP_K, "min_new_tokens": WRITTEN, "max_new_tokens": WRITTEN}
    options |= {"num_return_sequences": k, "pad_token_id": VOCABULARY - 1, "attention_mask": torch.ones_like(read)}
    return lambda: policy.model.generate(read, **options)


def seconds(work: Work, machine: Machine) -> float:
    machine.synchronize()
    start = time.perf_counter()
    work()
    machine.synchronize()
    return time.perf_counter() - start


def paired(ours: Work, theirs: Work, machine: Machine, repeats: int) -> dict[str, Any]:
    """Return medians of both and the median of their ratio; who goes first changes from pair to pair."""
    for work in (ours, theirs):
        work()
    pairs = []
    for turn in range(repeats):
        order = (ours, theirs) if turn % 2 else (theirs, ours)
        times = {work: seconds(work, machine) for work in order}
        pairs.append((times[ours], times[theirs]))
    mine, other = zip(*pairs, strict=True)
    ratios = sorted(a / b for a, b in pairs)
    return {
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        "ours_seconds": statistics.median(mine),
        "theirs_seconds": statistics.median(other),
        "repeats": repeats,
    }


def slope(works: dict[int, Work], machine: Machine, repeats: int) -> dict[str, Any]:
    """Return the log-log slope of median seconds against size; sizes take turns."""
    times: dict[int, list[float]] = {size: [] for size in works}
    for turn in range(repeats + 1):
        for size, work in works.items():
            spent = seconds(work, machine)
            if turn:
                times[size].append(spent)
    medians = {size: statistics.median(values) for size, values in times.items()}
    fit = statistics.linear_regression([*map(math.log, medians)], [*map(math.log, medians.values())])
    return {"slope": fit.slope, "median_seconds": medians, "repeats": repeats}


def measure(policy: Any, machine: Machine, repeats: int) -> dict[str, Any]:
    top, full = f"{ROWS} x 1", f"{ROWS // 16} x 16"
    limits = Limits(WRITTEN, WRITTEN)
    whole = Sample(limits.max_new_tokens, limits.min_new_tokens)
    pairs: dict[str, tuple[Work, Work]] = {
        f"bare_loop {top}": (sampling(policy, ROWS, 1), bare_loop(policy, ROWS, 1)),
        f"bare_loop {full}": (sampling(policy, ROWS // 16, 16), bare_loop(policy, ROWS // 16, 16)),
        f"generate {top}": (sampling(policy, ROWS, 1), generate(policy, ROWS, 1)),
        f"generate {full}": (sampling(policy, ROWS // 16, 16), generate(policy, ROWS // 16, 16)),
        f"top-k sampling over whole-vocabulary sampling {top}": (
            sampling(policy, ROWS, 1),
            sampling(policy, ROWS, 1, sampler=whole),
        ),
    }
    found: dict[str, Any] = {name: paired(*works, machine, repeats) for name, works in pairs.items()}
    grids: dict[str, Callable[[int], Work]] = {
        "K": lambda size: sampling(policy, 1, size),
        "B": lambda size: sampling(policy, size, 1),
        "T": lambda size: sampling(policy, 4, 8, size),
    }
    for axis, make in grids.items():
        works = {size: make(size) for size in SIZES[axis]}
        found[f"slope {axis}"] = slope(works, machine, max(3, repeats // 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of torch on the CPU; default: torch's own choice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    machine = Machine.create(0, options.device, "fp32")
    found = measure(make_policy(machine), machine, options.repeats)
    for name, value in found.items():
        number = value.get("ratio", value.get("slope"))
        limit = LIMITS.get(name.split()[0])
        print(f"{name:<55} {number:.2f}" + (f"  (limit {limit})" if limit else ""))
    about = {"device": str(machine.device), "threads": torch.get_num_threads(), "torch": torch.__version__}
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps({"machine": about, **found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
