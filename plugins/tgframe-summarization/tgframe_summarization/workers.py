"""Processes that score: interpreters of their own that read and write lines of JSON.

They are no children of `multiprocessing`, which would run an unguarded main script again in each of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence

import attrs

from tgframe import ComponentError
from tgframe_summarization.scoring import Pair, Scorer, Scoring

Process = subprocess.Popen[str]


class Workers:
    """``count`` processes with a scorer each."""

    def __init__(self, metrics: Sequence[str], scoring: Scoring, count: int) -> None:
        self.count = count
        self._processes = [_start() for _ in range(count)]
        self._finalizer = weakref.finalize(self, _end, self._processes)
        for process in self._processes:
            _write(process, {"metrics": list(metrics), "scoring": attrs.asdict(scoring)})

    def all(self, pairs: Sequence[Pair]) -> list[dict[str, float]]:
        """Return the scores of each pair, in order. Each process gets one run of neighbours.

        Raises :class:`~tgframe.ComponentError` where a process is gone.
        """
        size = -(-len(pairs) // self.count)
        parts = [pairs[first : first + size] for first in range(0, len(pairs), size)]
        busy = self._processes[: len(parts)]
        for process, part in zip(busy, parts, strict=True):
            _write(process, [[summary, list(targets)] for summary, targets in part])
        return [scores for process in busy for scores in _read(process)]

    def close(self) -> None:
        """End the processes."""
        self._finalizer()


def serve() -> None:
    """Score what comes in until nothing more comes: the main function of a worker."""
    told = json.loads(sys.stdin.readline())
    scorer = Scorer(told["metrics"], Scoring(**told["scoring"]))
    for line in sys.stdin:
        print(json.dumps(scorer.all(json.loads(line))), flush=True)


def _start() -> Process:
    command = [sys.executable, "-c", "from tgframe_summarization.workers import serve; serve()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii"
    )


def _write(process: Process, content: object) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(content) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise _gone(process) from None


def _read(process: Process) -> list[dict[str, float]]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise _gone(process)
    found: list[dict[str, float]] = json.loads(line)
    return found


def _gone(process: Process) -> ComponentError:
    return ComponentError(
        f"A process that scores summaries must live, but ended with status {process.wait()} instead; what it said is "
        "above. Write `workers: 1` to score without others."
    )


def _end(processes: Sequence[Process]) -> None:
    for process in processes:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # gone already, with something still unsent
            process.stdin.close()
        process.wait()
        process.stdout.close()
