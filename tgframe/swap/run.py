"""Runs a swap: every cell with every seed in a process of its own, and after each run the table so far."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tgframe.runtime.progress import progress
from tgframe.swap.folder import outcome, prepare, refuse_other_recipe, told_by
from tgframe.swap.jobs import Command, Slots, run_all
from tgframe.swap.lock import taken
from tgframe.swap.plan import Plan, PlannedRun
from tgframe.swap.record import write_record
from tgframe.swap.results import Results
from tgframe.swap.table import counted, show_run

_CHILD = (sys.executable, "-m", "tgframe.swap.child")


def swap(
    plan: Plan,
    output: Path,
    *,
    jobs: int = 1,
    plugin_files: Sequence[Path] = (),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Make the runs of ``plan`` that ``output`` does not hold yet, ``jobs`` at a time; return what swap.json holds.

    ``swap.json`` and ``swap.csv`` are written anew after every run, and ``say`` hears a line. A run that fails is
    recorded as failed and stops nothing. Raises RunFolderError where ``output`` is in use, or holds something else or
    a run of another recipe.
    """
    with taken(output) as lock:
        missing = prepare(output, plan.runs)
        found = write_record(Results.read(plan, output), output)
        there = len(plan.runs) - len(missing)
        say(_announced(plan, output, there))
        commands = {_command(plan, run, output, plugin_files): run for run in missing}
        ending = contextlib.closing(run_all(list(commands), _slots(plan, jobs), lock))
        with ending as ended, progress("swapping", len(missing)) as advance:
            for number, command in enumerate(ended, there + 1):
                run = commands[command]
                if outcome(output / run.folder).status == "done":  # the recipe's file may have changed meanwhile
                    refuse_other_recipe(output / run.folder, run.resolved)
                found = write_record(Results.read(plan, output), output)
                say(f"{number}/{len(plan.runs)} {show_run(found, run.cell.id, run.seed)}")
                advance()
    return found


def _announced(plan: Plan, output: Path, there: int) -> str:
    size = f"{counted(len(plan.cells), 'cell')} x {counted(len(plan.request.seeds), 'seed')}"
    done = f", {there} of them there already" if there else ""
    return f"{counted(len(plan.runs), 'run')} ({size}) to {output}{done}"


def _command(plan: Plan, run: PlannedRun, output: Path, plugin_files: Sequence[Path]) -> Command:
    folder = output / run.folder
    plugins = (word for file in plugin_files for word in ("--plugin", str(file)))
    words = (*_CHILD, "run", str(run.cell.recipe), *run.overrides, "--output", str(folder), *plugins)
    return Command(words, told_by(folder))


def _slots(plan: Plan, jobs: int) -> Slots:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = all(run.resolved["runtime"]["device"] in ("auto", "cuda") for run in plan.runs)
    return Slots(jobs, cores, _gpus() if jobs > 1 and free else ())


def _gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    from tgframe.runtime.device import available_devices

    count = len(available_devices()) - 1
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return names[:count] or [str(index) for index in range(count)]
