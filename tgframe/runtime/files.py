"""Writing files so that a crash or a full disk never leaves one that looks whole."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tgframe.errors import RunFolderError

AT_ONCE = 8
"""Files that are flushed or removed at the same time: a disk does this nearly as soon as it does one of them."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating-system error inside the block into a :class:`~tgframe.errors.RunFolderError` about ``path``."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"{str(path)!r} could not be written: {error.strerror or error}. "
            "Free space on that disk, or choose another folder that you may write to, and run again."
        ) from error


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # pragma: no cover
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        pool.map(os.unlink, [path for path in folder.iterdir() if not path.is_dir()])
    shutil.rmtree(folder)  # what is left, and what could not be removed says so


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file in one rename: readers see the old file or the new one, never a part.

    Raises :class:`~tgframe.errors.RunFolderError` when the disk is full or closed to us; the old file then stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` (see :func:`plain`) as indented JSON, in one rename."""
    write_text(path, json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it. Tensors and arrays become lists, paths text, NaN and infinities null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no place in JSON: {value!r}")


class JsonLines:
    """An append-only file with one JSON object a line, on the disk as soon as :meth:`write` returns.

    A row that does not fit on the disk is taken back, so that the file always ends with a whole line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row (see :func:`plain`). Raises :class:`~tgframe.errors.RunFolderError` when the disk is full."""
        if self._descriptor is None:
            raise ValueError(f"{self.path} is closed")
        line = (json.dumps(plain(row), ensure_ascii=False, allow_nan=False) + "\n").encode()
        with writing(self.path):
            start = os.fstat(self._descriptor).st_size
            try:
                _write_all(self._descriptor, line)
            except OSError:
                with contextlib.suppress(OSError):  # a device, or a pipe
                    os.ftruncate(self._descriptor, start)
                raise

    def close(self) -> None:
        """Close the file; writing afterwards is a bug."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
