"""How long the command line takes to answer: medians of whole processes, beside a bare interpreter.

python benchmarks/startup.py --output benchmarks/results/startup.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "tgframe --help": [sys.executable, "-m", "tgframe", "--help"],
    "tgframe plugins": [sys.executable, "-m", "tgframe", "plugins"],
}
LIMITS = {"tgframe --help": 0.25, "tgframe plugins": 0.5}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(options.repeats + 1):
        for name, command in COMMANDS.items():
            spent = seconds(command)
            if turn:  # the first turn fills the file cache
                times[name].append(spent)
    found = {
        name: {"median_seconds": statistics.median(values), "limit_seconds": LIMITS.get(name), "repeats": len(values)}
        for name, values in times.items()
    }
    for name, value in found.items():
        print(f"{name:<18} {value['median_seconds']:.3f} s" + (f" (limit {LIMITS[name]} s)" if name in LIMITS else ""))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
