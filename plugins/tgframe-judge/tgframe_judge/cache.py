"""Verdicts on disk: one SQLite file that several processes may share."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tgframe import DataError
from tgframe_judge.parsing import Verdict, legal

_WAIT_SECONDS = 30.0
"""How long one process waits for another that is writing."""


class Cache:
    """Verdicts by the key of their question. Holds no texts and no replies.

    Every use is inside ``with cache.opened():``. Raises :class:`~tgframe.DataError`, naming the file, where it is
    damaged or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Cache]:
        """Hold the file open. A connection lives no longer than one judgment, so forks and threads share none."""
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Another thread may write while this one waits for it, never both at a time.
            connection = sqlite3.connect(
                self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
        with contextlib.closing(connection) as self._connection:
            try:
                with self._told():
                    prepare(connection)
                yield self
            finally:
                self._connection = None

    def find(self, key: str, count: int) -> Verdict | None:
        """Return the stored verdict of the question ``key`` on ``count`` completions, or None."""
        with self._told():
            row = self._sqlite.execute("SELECT value FROM verdicts WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            verdict = legal(json.loads(row[0]), count)
        except (TypeError, ValueError):
            verdict = None
        if verdict is None:
            raise self._unusable(f"the verdict {key!r} in it is damaged")
        return verdict

    def store(self, key: str, verdict: Verdict) -> None:
        """Keep the verdict of the question ``key``."""
        with self._told():
            self._sqlite.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", (key, json.dumps(verdict)))

    @property
    def _sqlite(self) -> sqlite3.Connection:
        assert self._connection is not None, "use it inside `with cache.opened():`"
        return self._connection

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(str(error)) from error

    def _unusable(self, why: str) -> DataError:
        return DataError(
            f"The judge's cache {str(self.path)!r} cannot be used: {why}. Delete this file and those beside it that "
            "begin with its name (their judgments are asked for again), or set TGFRAME_CACHE to another folder."
        )


def prepare(connection: sqlite3.Connection) -> None:
    """Make sure of the table. Where several make the file at the same moment, SQLite may refuse instead of waiting."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
