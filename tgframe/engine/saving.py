"""Checkpoints on the way, and a stop that loses nothing."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tgframe.errors import Interrupted
from tgframe.runtime.checkpoint import write_checkpoint
from tgframe.runtime.files import remove
from tgframe.runtime.processes import Ended

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from tgframe.engine.state import Run


STOPPED = 130
"""Exit status of a process that was asked to stop."""


class Saver:
    """Writes a checkpoint every so many steps, and before a run stops because somebody asked it to."""

    def __init__(self, run: Run, state: Callable[[], dict[str, Any]]) -> None:
        self.run = run
        self._state = state
        self._stop = False
        self._remover = ThreadPoolExecutor(1)
        self._removed: list[Future[None]] = []

    def after_step(self) -> None:
        """Hear that a step of grounding or improvement is done.

        Raises :class:`~tgframe.errors.Interrupted` where a stop was asked for, with a checkpoint written.
        """
        every, updates = self.run.options.checkpoint_every, self.run.counters.updates
        stop = self.run.processes.any(self._stop)
        if stop or (every is not None and updates % every == 0):
            self.save()
        if stop:
            self.finish()
        if stop and not self.run.machine.is_main:
            raise Ended(STOPPED)
        if stop:
            raise Interrupted(
                f"Stopped after {updates} steps, with a checkpoint in {str(self.run.last_checkpoint)!r}. "
                "Run the same command with --resume to go on."
            )

    def save(self) -> None:
        """Write a checkpoint; older ones than are to be kept are removed while the run goes on."""
        run = self.run
        with run.clock.phase("checkpoint"):
            run.files.sync()
            folder, state = run.files.checkpoint(run.counters.updates), self._state()
            with run.processes.agreed():
                if run.machine.is_main:
                    self._write(folder, state)
            run.last_checkpoint = folder
        run.hooks.tgframe_checkpoint_saved(run=run, step=run.counters.step, path=folder)

    def _write(self, folder: Path, state: dict[str, Any]) -> None:
        write_checkpoint(folder, state)
        self.finish()
        options = self.run.options
        old = self.run.files.checkpoints()[: -options.keep_checkpoints]
        superfluous = [folder for folder in old if not (options.keep_best and folder == self.run.best_checkpoint)]
        self._removed = [self._remover.submit(remove, folder) for folder in superfluous]

    def finish(self) -> None:
        """Wait until old checkpoints are gone; raise what was in the way."""
        while self._removed:
            self._removed.pop().result()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM stop the run after its step; a second one stops it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread alone
            return
        before = {number: signal.signal(number, self._interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
