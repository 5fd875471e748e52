"""Progress of long phases on the terminal; silent everywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Advance(Protocol):
    """Tells how far a phase has come."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more as done; ``note`` (a loss, a score) stands behind the bar."""


_display: Progress | None = None  # phases nest, but a terminal has one live display


@contextlib.contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar for a phase of ``total`` steps (unknown when None) while the block runs.

    Nothing is shown when standard error is not a terminal, or in a process that is not the main one.
    """
    if not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield _nothing
        return
    with _shown() as display:
        task = display.add_task(title, total=total, note="")
        try:
            yield lambda steps=1, note="": display.update(task, advance=steps, note=note)
        finally:
            display.remove_task(task)


@contextlib.contextmanager
def library_bars_off() -> Iterator[None]:
    """Keep transformers from drawing bars of its own while it loads or saves a model."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def _nothing(steps: int = 1, note: str = "") -> None:
    pass


@contextlib.contextmanager
def _shown() -> Iterator[Progress]:
    global _display
    if _display is not None:
        yield _display
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    text, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        _display = display
        try:
            yield display
        finally:
            _display = None
