"""``tgframe eval``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


def evaluate(folder: Path, split: str | None, plugin_files: Sequence[Path]) -> None:
    """Evaluate a finished run's policy and guidance on a split and print the scores as JSON."""
    from tgframe import finished
    from tgframe.engine.evaluation import evaluated
    from tgframe.registry.manager import load_plugins

    loaded = finished.load(folder, load_plugins(files=plugin_files))
    parts, split = loaded.parts, split or loaded.recipe.schedule.test_split
    generator = loaded.context.generator(f"evaluate/{split}")
    found = evaluated(parts, loaded.context.runtime, split, generator)
    print(json.dumps({"split": split, "scores": dict(found.scores), "details": dict(found.details)}, indent=2))
