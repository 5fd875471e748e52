"""What dividing weights among processes saves in memory, and what it costs in time.

    python benchmarks/shards.py --output benchmarks/results/shards.json
    python benchmarks/shards.py --processes 4 --rounds 3 --steps 3 --output benchmarks/results/shards_4.json

Each round starts the run of ``rloo_step.py`` (side ``dense``: policy, reference and guidance of one size) twice, in
several processes on the CPU: once with whole weights in all of them, once divided. A process tells the median seconds
of its improvement steps, the bytes of weights, gradients and optimizer states that it holds between two steps, its peak
memory, and how far the steps raised that. Ratios are medians over the rounds, with the 95 % sign interval. Gloo
exchanges through this machine's memory: what dividing costs between GPUs is another number.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from paired import ratios, told, write
from rloo_sides import Ours, Shape, write_model

from tgframe.engine.sharing import models
from tgframe.runtime.launch import DIVIDES
from tgframe.runtime.memory import peak_process_bytes
from tgframe.runtime.processes import Processes

MIB = 2**20
WARM = 2


def held(ours: Ours) -> int:
    """Return the bytes of all weights, pieces, gradients and optimizer states, each storage once."""
    weights = [weight for group in models(ours.parts).values() for weight in group]
    learning = ours.updater.learning
    tensors = [*weights, *(weight.grad for weight in (*weights, *learning) if weight.grad is not None), *learning]
    tensors += ours.machine.shards.learning(weights)
    tensors += [value for state in ours.updater.optimizer.state.values() for value in state.values()]
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def worker(shape: Shape, folder: Path, steps: int) -> dict[str, float]:
    """Make steps in one of several processes; return what it measured."""
    processes = Processes.join()
    with tempfile.TemporaryDirectory() as scratch:
        ours = Ours(shape, folder, Path(scratch), WARM + steps, dense=True, processes=processes)
        gc.collect()
        before, times = peak_process_bytes(), []
        for _ in range(WARM + steps):
            processes.gather(None)
            start = time.perf_counter()
            ours.step()
            times.append(time.perf_counter() - start)
        return {
            "seconds": statistics.median(times[WARM:]),
            "held_mib": held(ours) / MIB,
            "peak_mib": peak_process_bytes() / MIB,
            "raised_mib": (peak_process_bytes() - before) / MIB,
        }


def together(count: int, divide: bool, arguments: list[str]) -> dict[str, float]:
    """Start the processes of a run; return what they measured: the slowest, and the largest."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    common |= {"OMP_NUM_THREADS": "1", DIVIDES: str(divide).lower()}
    common |= {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back at once: peaks are of what is in use
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    answers = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a process has failed; what it said stands above")
    found = [json.loads(answer.splitlines()[-1]) for answer in answers]
    return {name: max(one[name] for one in found) for name in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="12x512")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = Shape(options.size, 4, 2, 16, 16, "cpu", "fp32")
    if options.model is not None:
        print(json.dumps(worker(shape, options.model, options.steps)))
        return
    rounds: dict[str, list[dict[str, float]]] = {"whole": [], "divided": []}
    with tempfile.TemporaryDirectory() as folder:
        write_model(shape, Path(folder))
        given = ["--model", folder, "--size", options.size, "--steps", str(options.steps)]
        for _ in range(options.rounds):
            for name, found in rounds.items():
                found.append(together(options.processes, name == "divided", given))
    whole, divided = rounds["whole"], rounds["divided"]
    result = {
        name: ratios([one[name] for one in divided], [one[name] for one in whole])
        for name in ("seconds", "held_mib", "peak_mib", "raised_mib")
    }
    for name, ratio in result.items():
        print(told(f"divided / whole, {name}", ratio))
    medians = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]} for name, found in rounds.items()
    }
    print(json.dumps(medians, indent=2))
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    given = {"size": options.size, "processes": options.processes, "steps": options.steps, "rounds": options.rounds}
    write({"machine": machine, "given": given, "divided / whole": result, "medians": medians}, options.output)


if __name__ == "__main__":
    main()
