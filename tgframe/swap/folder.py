"""What the run folders of a swap hold so far, and what is still to be run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from tgframe.errors import RunFolderError
from tgframe.recipe.differences import differences
from tgframe.recipe.source import read_plain
from tgframe.runtime.files import writing
from tgframe.runtime.run_folder import RECIPE, RESULT
from tgframe.swap.plan import PlannedRun


@attrs.frozen
class Outcome:
    """What a run folder says of its run."""

    status: Literal["done", "failed", "pending"]
    error: str | None = None
    result: Mapping[str, Any] = attrs.field(factory=dict)
    """What ``result.json`` holds."""


def told_by(folder: Path) -> Path:
    """Return the file beside a run folder that keeps what a failed run has told."""
    return folder.with_name(f"{folder.name}.stderr.txt")


def outcome(folder: Path) -> Outcome:
    """Return what a run folder says of its run."""
    if (folder / RESULT).exists():
        return Outcome("done", None, json.loads((folder / RESULT).read_text(encoding="utf-8")))
    told = told_by(folder)
    if told.exists():
        lines = told.read_text(encoding="utf-8", errors="replace").split("\n")
        return Outcome("failed", next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing"))
    return Outcome("pending")


def prepare(output: Path, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Return the runs that are still to be made, and remove what is there of them.

    Raises RunFolderError, before anything is removed, where a finished run was made from another recipe.
    """
    missing = []
    for run in runs:
        if (output / run.folder / RESULT).exists():
            refuse_other_recipe(output / run.folder, run.resolved)
        else:
            missing.append(run)
    for run in missing:
        folder = output / run.folder
        told_by(folder).unlink(missing_ok=True)
        if folder.exists():
            with writing(folder):
                shutil.rmtree(folder)
    return missing


def refuse_other_recipe(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Raise RunFolderError where the run in ``folder`` was made from another recipe, with the first difference."""
    for path, there, here in differences(read_plain(folder / RECIPE), resolved):
        raise RunFolderError(
            f"{str(folder)!r} holds a run of another recipe: `{path}` is {there} there, but {here} here. "
            "Choose another folder for this swap, or delete that one."
        )
