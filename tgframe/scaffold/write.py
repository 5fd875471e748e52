"""Writes a new distribution: all of it, or nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tgframe.errors import PluginError


def write(files: Mapping[str, str], target: Path) -> None:
    """Write ``files`` (path to text) into the new folder ``target``, in one rename.

    Raises PluginError when there is something at ``target`` already, or it cannot be written; then nothing is there.
    """
    if target.exists() and not _is_empty_folder(target):
        raise PluginError(
            f"{str(target)!r} must be a new or empty folder, but is there already. "
            "Remove it, or choose another folder with `--into`."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tgframe-new-", dir=target.parent) as beside:
            draft = Path(beside) / target.name
            for path, text in files.items():
                (draft / path).parent.mkdir(parents=True, exist_ok=True)
                (draft / path).write_text(text, encoding="utf-8", newline="\n")
            if target.is_dir():
                target.rmdir()
            draft.rename(target)
    except OSError as error:
        raise PluginError(
            f"{str(target)!r} must be a folder that can be written, but is not: {error.strerror}. "
            "Choose another folder with `--into`."
        ) from error


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
