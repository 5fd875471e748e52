"""Checkpoints on the way, and a stop that loses nothing."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tgframe.errors import Interrupted
from tgframe.runtime.checkpoint import write_checkpoint

if TYPE_CHECKING:
    from types import FrameType

    from tgframe.engine.state import Run


class Saver:
    """Writes a checkpoint every so many steps, and before a run stops because somebody asked it to."""

    def __init__(self, run: Run, state: Callable[[], dict[str, Any]]) -> None:
        self.run = run
        self._state = state
        self._stop = False

    def after_step(self) -> None:
        """Hear that a step of grounding or improvement is done.

        Raises :class:`~tgframe.errors.Interrupted` where a stop was asked for, with a checkpoint written.
        """
        every, updates = self.run.options.checkpoint_every, self.run.counters.updates
        if self._stop or (every is not None and updates % every == 0):
            self.save()
        if self._stop:
            raise Interrupted(
                f"Stopped after {updates} steps, with a checkpoint in {str(self.run.last_checkpoint)!r}. "
                "Run the same command with --resume to go on."
            )

    def save(self) -> None:
        """Write a checkpoint, and remove older ones than are to be kept."""
        run = self.run
        with run.clock.phase("checkpoint"):
            run.files.sync()
            folder = run.files.checkpoint(run.counters.updates)
            write_checkpoint(folder, self._state())
            run.last_checkpoint = folder
            for old in run.files.checkpoints()[: -run.options.keep_checkpoints]:
                shutil.rmtree(old)
        run.hooks.tgframe_checkpoint_saved(run=run, step=run.counters.step, path=folder)

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
