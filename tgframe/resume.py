"""Taking up an unfinished run: the newest whole checkpoint, and whether it is still the same run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tgframe.engine.state import MODELS
from tgframe.errors import CheckpointError, RecipeError, RunFolderError
from tgframe.recipe.differences import differences
from tgframe.recipe.source import read_plain
from tgframe.runtime.checkpoint import read_checkpoint
from tgframe.runtime.run_folder import RECIPE

if TYPE_CHECKING:
    from tgframe.engine.alternation import Alternation
    from tgframe.runtime.run_folder import RunFolder

Tell = Callable[[str], None]


def go_on(alternation: Alternation, tell: Tell) -> None:
    """Load the newest whole checkpoint of the run folder; without one the run begins anew.

    A damaged checkpoint is told, and the one before it is taken. The main process chooses for all.
    """
    run = alternation.run
    files, processes = run.files, run.processes
    found = _newest(files, tell) if processes.is_main else None
    chosen = processes.from_main(lambda: None if found is None else str(found[0]))
    if chosen is None:
        files.cut(dict.fromkeys(files.sizes(), 0))
        tell(f"{str(files.path)!r} holds no whole checkpoint: the run begins anew.")
        return
    folder = Path(chosen)
    with run.whole(*MODELS, changed=True), processes.agreed():
        _load(alternation, read_checkpoint(folder) if found is None else found[1], folder)
    run.last_checkpoint = folder
    tell(f"Going on from {str(folder)!r}.")


def _newest(files: RunFolder, tell: Tell) -> tuple[Path, Mapping[str, Any]] | None:
    """Return the newest checkpoint that is whole, with its state."""
    for folder in reversed(files.checkpoints()):
        try:
            return folder, read_checkpoint(folder)
        except CheckpointError as error:
            tell(str(error))
    return None


def _load(alternation: Alternation, state: Mapping[str, Any], folder: Path) -> None:
    try:
        alternation.load_state(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(
            f"{str(folder)!r} does not fit this recipe: {told}. Resume with the recipe that wrote it, or start anew."
        ) from error


def refuse_changes(folder: Path, resolved: Mapping[str, Any]) -> None:
    """Raise :class:`~tgframe.errors.RecipeError` where the recipe is not the one that the run was started with."""
    file = folder / RECIPE
    if not file.exists():
        return  # stopped before anything was written
    changes = [*differences(read_plain(file), json.loads(json.dumps(resolved)))]
    if changes:
        told = [f"{str(file)!r}: `{path}` was {old}, and is {new} now." for path, old, new in changes]
        raise RecipeError([*told, "This is another recipe than the run's. Use that one, or add --allow-change."])


def tell_other_versions(folder: Path, manifest: Mapping[str, Any], tell: Tell) -> None:
    """Tell which packages or data are other ones than those that the run was started with."""
    try:
        before = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{str(folder / 'manifest.json')!r} is damaged: {error}. Start anew.") from error
    now = json.loads(json.dumps(manifest, default=str))
    for key in ("python", "packages", "components", "data", "device", "precision"):
        for path, old, new in differences(before.get(key), now.get(key), key):
            tell(f"Not as when the run was started: `{path}` was {old}, and is {new} now.")
