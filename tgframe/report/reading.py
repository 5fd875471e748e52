"""Reading files that may be missing, torn or written by others."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tgframe.errors import RunFolderError

Row = Mapping[str, Any]


def read_text(path: Path) -> str | None:
    """Return a UTF-8 file, or None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> RunFolderError:
    """Return the error about a file that is there but cannot be read."""
    return RunFolderError(f"{str(path)!r} could not be read: {error.strerror or error}. Make it readable.")


def read_json(path: Path) -> Row | None:
    """Return a JSON object, or None where there is no file. Raises RunFolderError when it is something else."""
    text = read_text(path)
    if text is None:
        return None
    found = parse_row(text)
    if found is None:
        raise RunFolderError(
            f"{str(path)!r} must hold one JSON object, but is damaged. Delete it to see the rest, or run again."
        )
    return found


def read_rows(path: Path) -> tuple[list[Row], int]:
    """Return the objects of a file with one on each line, and how many lines could not be read."""
    lines = (read_text(path) or "").split("\n")
    rows = [parse_row(line) for line in lines if line.strip()]
    whole = [row for row in rows if row is not None]
    return whole, len(rows) - len(whole)


def parse_row(text: str | bytes) -> Row | None:
    """Return the JSON object that ``text`` is, or None where it is torn or no object."""
    try:
        row = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def number(value: Any) -> float | None:
    """Return a finite number, or None for whatever else stands in its place."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def whole(value: Any) -> int:
    """Return a whole number, 0 for whatever else stands in its place."""
    found = number(value)
    return 0 if found is None else int(found)


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the numbers among ``values``, None where there are none."""
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def mapping(value: Any) -> Row:
    """Return a mapping, an empty one for whatever else stands in its place."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Row]:
    """Return the mappings of a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def newest(folder: Path, names: Iterable[str]) -> str:
    """Return when the newest of these files was written, as people read it, in UTC."""
    times = [path.stat().st_mtime for name in names if (path := folder / name).is_file()]
    moment = datetime.fromtimestamp(max(times), UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
