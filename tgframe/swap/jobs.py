"""Runs commands in processes of their own, some at a time: what takes one down takes nothing else with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

_ASK_EVERY_SECONDS = 0.05
_END_SECONDS = 10.0
"""How long a process may take to end when it is told to."""


@attrs.frozen
class Command:
    """A process to be run."""

    words: tuple[str, ...]
    told: Path
    """Gets its standard error, and how it ended, when it fails."""

    @property
    def telling(self) -> Path:
        """Gets its standard error while it runs."""
        return self.told.with_name(f".{self.told.name}")


@attrs.frozen
class Slots:
    """How processes that run side by side share a machine."""

    count: int = 1
    """Processes at a time."""
    cores: int = 1
    """Divided among them, unless the environment says how many threads they use."""
    gpus: Sequence[str] = ()
    """Given to them in turn, named as CUDA_VISIBLE_DEVICES names them; none, or one, is left to the processes."""

    def environment(self, slot: int) -> dict[str, str]:
        """Return the environment of the process in one of the slots."""
        share = {"OMP_NUM_THREADS": str(max(1, self.cores // self.count))}
        gpu = {"CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]} if len(self.gpus) > 1 else {}
        return {**share, **os.environ, **gpu}


def run_all(commands: Sequence[Command], slots: Slots, lock: int | None = None) -> Generator[Command, None, None]:
    """Run all commands; yield each as it ends. One that fails leaves the file
    ``told``.

    ``lock`` is a file that the processes inherit. When the iterator is closed, or interrupted, they are ended.
    """
    waiting = deque(commands)
    running: dict[int, tuple[Command, subprocess.Popen[bytes]]] = {}
    try:
        while waiting or running:
            for slot in range(slots.count):
                if waiting and slot not in running:
                    command = waiting.popleft()
                    running[slot] = command, _start(command, slots.environment(slot), lock)
            time.sleep(_ASK_EVERY_SECONDS)
            for slot in [slot for slot, (_, process) in running.items() if process.poll() is not None]:
                command, process = running.pop(slot)
                _close(command, process)
                yield command
    finally:
        _end(running.values())


def _start(command: Command, environment: Mapping[str, str], lock: int | None) -> subprocess.Popen[bytes]:
    command.telling.parent.mkdir(parents=True, exist_ok=True)
    with open(command.telling, "wb") as stderr:
        return subprocess.Popen(
            command.words,
            env=environment,
            stdin=subprocess.PIPE,  # its end tells the process that this one is gone
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=() if lock is None else (lock,),
        )


def _close(command: Command, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    status, telling = process.returncode, command.telling
    if status == 0:
        telling.unlink()
        return
    if status < 0 or not telling.read_bytes().strip():
        with open(telling, "a", encoding="utf-8") as file:
            file.write(f"\nended by {signal.Signals(-status).name}\n" if status < 0 else f"exit status {status}\n")
    telling.replace(command.told)


def _end(running: Iterable[tuple[Command, subprocess.Popen[bytes]]]) -> None:
    running = list(running)
    for _, process in running:
        process.terminate()
    end = time.monotonic() + _END_SECONDS
    for command, process in running:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        command.telling.unlink(missing_ok=True)
