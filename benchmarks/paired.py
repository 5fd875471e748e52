"""What benchmarks share that measure several works in rounds, one right after the other."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def centre(values: Sequence[float]) -> dict[str, float]:
    """Return the median, and the order statistics that hold the true one with at least 95 % (sign interval).

    With fewer than six values no two do: then the least and the largest.
    """
    ordered, count = sorted(values), len(values)
    rank, tail = 0, 0.5**count
    while tail <= 0.025:  # the chance that at most `rank` values lie below the true median
        rank += 1
        tail += math.comb(count, rank) * 0.5**count
    outside = max(0, rank - 1)
    return {"median": statistics.median(ordered), "low": ordered[outside], "high": ordered[-1 - outside]}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return the centre of the ratios round by round."""
    return centre([one / other for one, other in zip(ours, theirs, strict=True)])


def told(name: str, found: dict[str, Any], limit: float | None = None) -> str:
    """Return ``name  0.58 [0.55, 0.60] (limit 0.6)``."""
    text = f"{name:<44} {found['median']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    return text if limit is None else f"{text} (limit {limit})"


def in_a_process_of_its_own(*arguments: str) -> Any:
    """Run this script again with ``arguments``; return the JSON that its last line prints."""
    command = [sys.executable, sys.argv[0], *arguments]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{finished.stderr}")
    return json.loads(finished.stdout.splitlines()[-1])


def write(found: dict[str, Any], output: Path | None) -> None:
    """Write the result to a file, where one is named."""
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
