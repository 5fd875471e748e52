"""What a checkpoint costs, and how soon a stopped run goes on.

    python benchmarks/checkpoints.py --output benchmarks/results/checkpoints.json

The quickstart recipe with its own models, but few texts and steps, writes a checkpoint after every step, first of
grounding (with the guidance's optimizer), then of improvement. Right after each, the same bytes are written to as many
files, each flushed to the disk, and then their folder: the floor. A ratio is that of one checkpoint, with all that
saving does (states gathered, hashes, the oldest one removed), to its floor; medians have the 95 % sign interval.

Then the run is stopped as Ctrl-C would, and copies of it are taken up by `tgframe run --resume`: seconds from starting
that process to its first step, and the share of them that importing took (in a process that counts its imports).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from paired import centre, ratios, told, write

import tgframe
from tgframe.engine.saving import Saver
from tgframe.errors import Interrupted
from tgframe.runtime.files import sync
from tgframe.runtime.run_folder import RECIPE

LIMITS = {"checkpoint / floor": 1.5, "resume": 5.0}
FEW = (
    "task.data.shots=2",
    "task.test_rows=10",
    "task.policy_prompts=2",
    "task.random_prompts=2",
    "schedule.improve.completions=8",
    "schedule.evaluate=null",
    "schedule.ground.every=null",
    "schedule.ground.until=null",
    "runtime.checkpoint_every=1",
)
WATCH = """
import json, os, time
from pathlib import Path
from tgframe import hookimpl

@hookimpl(trylast=True)
def tgframe_run_started():
    Path(os.environ["WATCHED"]).write_text(json.dumps({"begins": time.time()}))

@hookimpl
def tgframe_step_finished():
    found = json.loads(Path(os.environ["WATCHED"]).read_text())
    Path(os.environ["WATCHED"]).write_text(json.dumps({**found, "ends": time.time()}))
    os._exit(0)
"""


class Timed:
    """Saves as a run does; measures that and its floor; stops the run after enough of both kinds of step."""

    def __init__(self, rounds: int, scratch: Path) -> None:
        self.rounds, self.scratch = rounds, scratch
        self.save = Saver.save
        self.found: dict[str, dict[str, list[float]]] = {}

    def __call__(self, saver: Saver) -> None:
        seconds = spent(lambda: self.save(saver))
        folder, step = saver.run.last_checkpoint, saver.run.counters.step
        assert folder is not None
        contents = [path.read_bytes() for path in sorted(folder.iterdir())]
        of = self.found.setdefault("improvement" if step else "grounding", {})
        place = self.scratch / "floor"
        of.setdefault("seconds", []).append(seconds)
        of.setdefault("floor seconds", []).append(spent(lambda: flushed(contents, place)))
        of.setdefault("bytes", []).append(sum(map(len, contents)))
        of.setdefault("files", []).append(len(contents))
        shutil.rmtree(place)
        if step == self.rounds:
            signal.raise_signal(signal.SIGINT)


def spent(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def flushed(contents: list[bytes], folder: Path) -> None:
    """Write each of the contents to a file of its own; return when they and the folder are on the disk."""
    folder.mkdir()
    for number, content in enumerate(contents):
        with open(folder / str(number), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    sync(folder)


def checkpoints(recipe: Path, given: list[str], rounds: int, scratch: Path) -> dict[str, Any]:
    """Run until stopped; return seconds and bytes by the kind of step, and the ratios. The first of a kind warms up."""
    timed = Timed(rounds + 1, scratch)
    Saver.save = lambda saver: timed(saver)  # type: ignore[method-assign]
    try:
        tgframe.run(recipe, given, scratch / "run")
    except Interrupted:
        pass
    finally:
        Saver.save = timed.save  # type: ignore[method-assign]
    report: dict[str, Any] = {}
    for kind, found in timed.found.items():
        seconds, floor = found["seconds"][1:], found["floor seconds"][1:]
        report[kind] = {"seconds": centre(seconds), "floor seconds": centre(floor), "ratio": ratios(seconds, floor)}
        report[kind] |= {name: found[name][-1] for name in ("bytes", "files")}
    return report


def resumed(given: list[str], stopped: Path, scratch: Path, *flags: str) -> tuple[dict[str, float], str]:
    """Take up a copy of the stopped run; return seconds from the start of the process, and what it told."""
    copied, watch, watched = scratch / "copy", scratch / "watch.py", scratch / "watched.json"
    shutil.copytree(stopped, copied)
    watch.write_text(WATCH, encoding="utf-8")
    options = ["--output", str(copied), "--resume", "--plugin", str(watch)]
    command = [sys.executable, *flags, "-m", "tgframe", "run", *given, *options]
    environment = {**os.environ, "WATCHED": str(watched)}
    start = time.time()
    finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    shutil.rmtree(copied)
    found = json.loads(watched.read_text(encoding="utf-8"))
    return {f"until the first step {what}": at - start for what, at in found.items()}, finished.stderr


def importing(table: str) -> float:
    """Return seconds from the table that ``-X importtime`` writes: what each module took by itself, summed up."""
    rows = [line.split(":", 1)[1].split("|") for line in table.splitlines() if line.startswith("import time:")]
    return sum(int(own) for own, *_ in rows if own.strip().isdigit()) / 1e6


def resumes(given: list[str], stopped: Path, rounds: int, scratch: Path) -> dict[str, Any]:
    """Return medians of seconds. The first time fills the file cache; imports are counted in processes of their own."""
    found, shares = [], []
    for _ in range(rounds + 1):
        found.append(resumed(given, stopped, scratch)[0])
        seconds, table = resumed(given, stopped, scratch, "-X", "importtime")
        shares.append(importing(table) / seconds["until the first step begins"])
    report = {name: centre([row[name] for row in found[1:]]) for name in found[0]}
    return {**report, "share of imports": centre(shares[1:])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    quickstart = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"
    parser.add_argument("--recipe", type=Path, default=quickstart)
    parser.add_argument("--rounds", type=int, default=12, help="checkpoints of each kind")
    parser.add_argument("--resumes", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: that of temporary files")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    few = [*FEW, f"schedule.ground.steps={options.rounds + 1}", f"schedule.steps={options.rounds + 100}"]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        scratch = Path(name)
        written = checkpoints(options.recipe, few, options.rounds, scratch)
        assert (scratch / "run" / RECIPE).exists()
        going_on = resumes([str(options.recipe.resolve()), *few], scratch / "run", options.resumes, scratch)
    for kind, found in written.items():
        size = f"{found['bytes'] / 2**20:.1f} MiB in {found['files']} files"
        print(told(f"checkpoint / floor, {kind}, {size}", found["ratio"], LIMITS["checkpoint / floor"]))
    for what, found in going_on.items():
        print(told(f"resume, {what}", found, LIMITS["resume"] if what.endswith("begins") else None))
    about = {"machine": f"{platform.machine()}, {platform.system()}", "torch": metadata.version("torch")}
    rounds = {"rounds": options.rounds, "resumes": options.resumes, "limits": LIMITS}
    write({**about, **rounds, "checkpoint": written, "resume": going_on}, options.output)


if __name__ == "__main__":
    main()
