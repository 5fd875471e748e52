"""One step of RLOO against TRL's trainers and against bare passes, and what dense guidance adds to it.

    python benchmarks/rloo_step.py --output benchmarks/results/rloo_step.json
    python benchmarks/rloo_step.py --device cuda --precision bf16 --size gpt2-medium --tokens 128

Every side improves the same random GPT-2 by the same reward (a cheap function of token ids), prices divergence from
the start alike, and makes one Adam update a step: 8 prompts of 16 tokens, for each 8 completions of 32 tokens drawn
from the whole vocabulary, no dropout, no gradient checkpointing. No pass is saved because a completion ends early.

    ours    tgframe's improvement step with `bandit` and `kl`: RLOO
    dense   tgframe's improvement step with `reinforce-maxent`, `kl`, and `learned` guidance of the policy's size
    rloo    TRL's RLOOTrainer
    grpo    TRL's GRPOTrainer, with the same `beta`, so that it asks its reference, too
    floor   sampling with a KV cache, a pass of the reference, a pass of the policy with gradient, clipping, Adam

Steps of TRL run in its own loop, from `on_step_begin` to `on_step_end`, with reading left out; ours are whole, with
reading, tokenizing and logging. Each round measures everything, one after the other: ratios are medians of the rounds'
own, with the 95 % sign interval. Sampling alone and one pass of the guidance alone are measured in the same rounds.
Peak memory is that of a process of its own for each side, before its first step and after a few.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from paired import in_a_process_of_its_own, ratios, told, write
from rloo_sides import KL, SIZES, Floor, Ours, Rounds, Shape, make_trainer, write_model

from tgframe.runtime.memory import peak_process_bytes

WARM, MIB = 3, 2**20
TRL, OWN = ("rloo", "grpo"), ("ours", "dense")
SIDES = (*OWN, *TRL, "floor")
LIMITS = {"ours / rloo": 0.6, "ours / grpo": 0.7, "ours / floor": 1.15, "dense / (ours + one guidance pass)": 1.05}


def waiting(device: str) -> Any:
    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def peak(side: str, shape: Shape, steps: int, scratch: Path) -> dict[str, float]:
    """Return MiB: the most that this process had taken when one side was made, and when it had made some steps."""
    folder = scratch / "model"
    write_model(shape, folder)
    made: Any
    if side in TRL:
        made = make_trainer(side, shape, folder, steps, scratch / "out")
    else:
        made = Floor(shape, folder) if side == "floor" else Ours(shape, folder, scratch, steps, dense=side == "dense")
    before = taken(shape.device)
    if side in TRL:
        made.train()
    else:
        for _ in range(steps):
            made.step()
    return {"before_steps_mib": before, "peak_mib": taken(shape.device)}


def taken(device: str) -> float:
    """Return MiB: the most that was allocated on the GPU so far, or on the CPU that this process had."""
    return (torch.cuda.max_memory_allocated() if device.startswith("cuda") else peak_process_bytes()) / MIB


def bandwidth(device: str) -> float:
    """Return bytes per second of a copy on the device, read and written."""
    size, wait = 2**30, waiting(device)
    one = torch.empty(size, dtype=torch.uint8, device=device)
    other, times = torch.empty_like(one), []
    for _ in range(10):
        wait()
        start = time.perf_counter()
        other.copy_(one)
        wait()
        times.append(time.perf_counter() - start)
    return 2 * size / min(times)


def sampling_report(shape: Shape, found: dict[str, list[float]], floor: Floor) -> dict[str, Any]:
    """Return tokens per second, and on a GPU what they would be if reading the weights once a token were all."""
    written = shape.rows * shape.tokens
    report: dict[str, Any] = {
        f"{side} tokens per second": written / statistics.median(found[f"{side} sampling"])
        for side in ("ours", "floor")
    }
    report["ours / floor"] = ratios(found["ours sampling"], found["floor sampling"])
    if shape.device.startswith("cuda"):
        width = 2 if shape.precision == "bf16" else 4
        weights = width * sum(parameter.numel() for parameter in floor.policy.parameters())
        rate = bandwidth(shape.device)
        limit = shape.rows * rate / weights
        report |= {"copy gigabytes per second": rate / 1e9, "bandwidth limit tokens per second": limit}
        report["share of the limit"] = report["ours tokens per second"] / limit
    return report


def measure(shape: Shape, rounds: int, scratch: Path) -> dict[str, Any]:
    """Return medians of seconds, paired ratios, and the speed of sampling."""
    folder, steps = scratch / "model", rounds + WARM
    write_model(shape, folder)
    ours, dense = (Ours(shape, folder, scratch, steps, dense) for dense in (False, True))
    floor = Floor(shape, folder)
    works = {"ours": ours.step, "floor": floor.step}
    beside = {
        "dense": dense.step,
        "guidance pass": dense.valuing(),
        "ours sampling": ours.sampling(),
        "floor sampling": floor.sample,
    }
    own = {"ours", "dense", "guidance pass", "ours sampling"}
    phases = {}
    for kind, measured in {"rloo": {**works, **beside}, "grpo": works}.items():
        trainer = make_trainer(kind, shape, folder, steps, scratch / kind)
        timed = Rounds(kind, measured, own, waiting(shape.device))
        trainer.add_callback(timed)
        trainer.train()
        phases[kind] = {name: seconds[WARM:] for name, seconds in timed.found.items()}
    first = phases["rloo"]
    together = [one + other for one, other in zip(first["ours"], first["guidance pass"], strict=True)]
    compared = {f"ours / {kind}": ratios(found["ours"], found[kind]) for kind, found in phases.items()}
    compared["ours / floor"] = ratios(first["ours"], first["floor"])
    compared["dense / (ours + one guidance pass)"] = ratios(first["dense"], together)
    seconds = {name: statistics.median(values) for found in reversed(phases.values()) for name, values in found.items()}
    return {"seconds": seconds, "ratios": compared, "sampling": sampling_report(shape, first, floor)}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--size", choices=SIZES, default="4x128", help="layers x width, or gpt2-medium; weights are random"
    )
    for name, default in {"prompts": 8, "completions": 8, "prompt": 16, "tokens": 32, "rounds": 20}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--peak", choices=SIDES, help="only print the peak memory of one side's steps")
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


def main() -> None:
    options = parse()
    names = ("size", "prompts", "completions", "prompt", "tokens", "device", "precision")
    shape = Shape(**{name: getattr(options, name) for name in names})
    with tempfile.TemporaryDirectory() as scratch:
        if options.peak:
            print(json.dumps(peak(options.peak, shape, WARM, Path(scratch))))
            return
        given = [f"--{name}={getattr(shape, name)}" for name in names]
        # First, while this process is small: what a process took counts as taken by those that it starts.
        memory = {side: in_a_process_of_its_own(*given, f"--peak={side}") for side in SIDES}
        found = measure(shape, options.rounds, Path(scratch))
    about = {
        **{name: getattr(shape, name) for name in names},
        "kl": KL,
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "versions": {name: metadata.version(name) for name in ("torch", "transformers", "trl")},
    }
    found = {**about, **found, "memory": memory}
    for name, value in found["ratios"].items():
        print(told(name, value, LIMITS[name]))
    print(json.dumps({name: found[name] for name in ("seconds", "sampling", "memory")}, indent=2))
    write(found, options.output)


if __name__ == "__main__":
    main()
