"""The folder of one run: taken by one process at a time, never overwritten once finished."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil  # type: ignore[import-untyped]

from tgframe.errors import RunFolderError
from tgframe.runtime.files import JsonLines, sync, write_json, write_text, writing

LOCK = "run.lock"
RESULT = "result.json"
RECIPE = "recipe.yaml"
STREAMS = ("metrics.jsonl", "samples.jsonl", "eval.jsonl")
"""Files that grow while a run goes on."""


class RunFolder:
    """A run folder that this process holds. Use it in a ``with`` block, or :meth:`close` it.

    Layout: ``recipe.yaml``, ``manifest.json``, ``metrics.jsonl``, ``samples.jsonl``, ``eval.jsonl``, ``tensorboard/``,
    ``checkpoints/step-N/``, ``policy/``, ``guidance/``, and, written last, ``result.json``.
    """

    def __init__(self, path: Path, made: bool) -> None:
        self.path = path
        self._made = made
        self._streams: dict[str, JsonLines] = {}

    @classmethod
    def create(cls, path: Path, resume: bool = False, writes: bool = True) -> RunFolder:
        """Take the folder ``path``, which must be new or empty; with ``resume``, it may hold an unfinished run.

        Without ``writes`` nothing is taken, and what is written goes nowhere: another process of the run holds it.

        Raises :class:`~tgframe.errors.RunFolderError` when it is in use, finished, or holds something else.
        """
        path = path.absolute()
        if not writes:
            return _Unwritten(path, False)
        made = not path.exists()
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"A run folder must be a folder, but {str(path)!r} is a file instead. {_CHOOSE}")
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        _lock(path / LOCK)
        folder = cls(path, made)
        try:
            _refuse(path, resume)
        except BaseException:
            folder.close()
            raise
        for left in folder.checkpoints_folder.glob(".*"):  # by a process that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        return folder

    @property
    def metrics(self) -> JsonLines:
        """``metrics.jsonl``: a row an optimizer step or evaluation."""
        return self._stream("metrics.jsonl")

    @property
    def samples(self) -> JsonLines:
        """``samples.jsonl``: completions with their preferences and guidance."""
        return self._stream("samples.jsonl")

    @property
    def evaluations(self) -> JsonLines:
        """``eval.jsonl``: a row a test item and system."""
        return self._stream("eval.jsonl")

    def _stream(self, name: str) -> JsonLines:
        if name not in self._streams:
            self._streams[name] = JsonLines(self.path / name)
        return self._streams[name]

    def sizes(self) -> dict[str, int]:
        """Return how many bytes each of the growing files has."""
        return {name: (self.path / name).stat().st_size if (self.path / name).exists() else 0 for name in STREAMS}

    def sync(self) -> None:
        """Wait until the growing files are on the disk."""
        for name in STREAMS:
            if (self.path / name).exists():
                sync(self.path / name)

    def cut(self, sizes: Mapping[str, int]) -> None:
        """Cut the growing files back to what :meth:`sizes` returned: rows that were written later are gone."""
        for name, size in sizes.items():
            path = self.path / name
            if path.exists():
                with writing(path):
                    os.truncate(path, size)

    def write_text(self, name: str, text: str) -> None:
        """Write the file ``name`` in one rename."""
        write_text(self.path / name, text)

    def write_json(self, name: str, data: Any) -> None:
        """Write the file ``name`` as JSON, in one rename; NaN and infinities become null."""
        write_json(self.path / name, data)

    @property
    def checkpoints_folder(self) -> Path:
        """Where checkpoints are."""
        return self.path / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the checkpoint after ``step`` steps, of improvement and grounding together."""
        return self.checkpoints_folder / f"step-{step}"

    def checkpoints(self) -> list[Path]:
        """Return the folders of whole checkpoints, oldest first."""
        return checkpoints(self.path)

    def close(self) -> None:
        """Close the files and give the folder back. A folder that this run made and left empty disappears."""
        for stream in self._streams.values():
            stream.close()
        (self.path / LOCK).unlink(missing_ok=True)
        if self._made:
            with contextlib.suppress(OSError):  # not empty
                self.path.rmdir()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Unwritten(RunFolder):
    """The run folder of another process."""

    def _stream(self, name: str) -> JsonLines:
        return _Nowhere()

    def sizes(self) -> dict[str, int]:
        return {}

    def sync(self) -> None:
        pass

    def cut(self, sizes: Mapping[str, int]) -> None:
        pass

    def write_text(self, name: str, text: str) -> None:
        pass

    def write_json(self, name: str, data: Any) -> None:
        pass

    def close(self) -> None:
        pass


class _Nowhere(JsonLines):
    """A file that is not there."""

    def __init__(self) -> None:
        pass

    def write(self, row: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``metrics.jsonl`` in the run folder ``path``; none where there is no such file."""
    if (path / "metrics.jsonl").exists():
        with open(path / "metrics.jsonl", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def checkpoints(path: Path) -> list[Path]:
    """Return the folders of whole checkpoints of the run folder ``path``, oldest first."""
    found = (folder for folder in (path / "checkpoints").glob("step-*") if folder.name[5:].isdigit())
    return sorted(found, key=lambda folder: int(folder.name[5:]))


_CHOOSE = "Choose another folder."


def _refuse(path: Path, resume: bool) -> None:
    names = {entry.name for entry in path.iterdir()} - {LOCK}
    if RESULT in names:
        raise RunFolderError(f"{str(path)!r} holds a finished run. {_CHOOSE}")
    if names and RECIPE not in names:
        raise RunFolderError(f"{str(path)!r} is neither empty nor a run folder; it holds {min(names)!r}. {_CHOOSE}")
    if names and not resume:
        raise RunFolderError(
            f"{str(path)!r} holds an unfinished run. Go on with --resume, delete it, or {_CHOOSE.lower()}"
        )


def _lock(path: Path) -> None:
    for _ in range(2):
        if _write_lock(path):
            return
        _refuse_if_held(path)
        path.unlink(missing_ok=True)  # its process is gone
    raise RunFolderError(f"{str(path.parent)!r} was taken by another run just now. {_CHOOSE}")


def _write_lock(path: Path) -> bool:
    content = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())})
    with writing(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
        except OSError:
            path.unlink()
            raise
    return True


def _refuse_if_held(path: Path) -> None:
    try:
        lock = json.loads(path.read_text(encoding="utf-8"))
        pid, host, started = lock["pid"], lock["host"], lock["started"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):  # being written this moment, or not ours
        holder = "another process"
    else:
        here = host == socket.gethostname()
        now = _started(pid) if here else None
        # A process of the same number that started at another time is another process.
        if here and (now is None or abs(now - started) > _CLOCK_SECONDS):
            return
        holder = f"process {pid}" if here else f"process {pid} on {host!r}"
    raise RunFolderError(
        f"{str(path.parent)!r} is in use by {holder}. Choose another folder; "
        f"or, when you are sure that no run writes there, delete {str(path)!r}."
    )


_CLOCK_SECONDS = 5.0
"""How far two readings of one process's start may lie apart when the system's clock is set."""


def _started(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
