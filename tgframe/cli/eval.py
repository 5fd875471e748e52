"""``tgframe eval``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def evaluate(folder: Path, split: str | None, plugin_files: Sequence[Path]) -> None:
    """Evaluate a finished run's policy on a split and print its scores as JSON."""
    from tgframe import finished
    from tgframe.registry.manager import load_plugins

    loaded = finished.load(folder, load_plugins(files=plugin_files))
    parts, split = loaded.parts, split or loaded.recipe.schedule.test_split
    generator = loaded.context.generator(f"evaluate/{split}")
    found = parts.task.evaluate(parts.policy, parts.sampler, split, generator)  # type: ignore[arg-type]
    print(json.dumps({"split": split, "scores": dict(found.scores), "details": dict(found.details)}, indent=2))
