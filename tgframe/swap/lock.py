"""One swap at a time in one folder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tgframe.errors import RunFolderError
from tgframe.runtime.files import writing

SUMMARY = "swap.json"
_LOCK = ".swap.lock"
_PATIENCE_SECONDS = 10.0
"""How long the runs of a swap that was killed may take to notice it."""


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[int | None]:
    """Hold a swap's folder while the block runs; yield the lock's file, to be inherited by the runs.

    Raises RunFolderError where another swap holds it, or where it holds something else.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in folder.iterdir()} - {_LOCK}
    if names and SUMMARY not in names:
        what = f"neither empty nor the folder of a swap; it holds {min(names)!r}"
        raise RunFolderError(f"{str(folder)!r} is {what}. Choose another folder.")
    if os.name == "nt":  # pragma: no cover
        yield None  # Windows has no lock that is inherited
        return
    with writing(folder):
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, folder)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    """Lock a file until it is closed here and in all processes that inherit it, however they end."""
    import fcntl

    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                message = (
                    f"{str(folder)!r} is in use by another swap. Wait until it has ended, or choose another folder."
                )
                raise RunFolderError(message) from None
        except OSError:
            return None  # a file system without locks
        time.sleep(0.1)
