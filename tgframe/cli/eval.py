"""``tgframe eval``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from tgframe.finished import Loaded
    from tgframe.interfaces.task import Evaluation


@runtime_checkable
class Measures(Protocol):
    """A task that can also say how good given outputs are, whoever wrote them."""

    def measure(self, outputs: Sequence[str], split: str, /) -> Evaluation:
        """Return the mean scores of ``outputs``, taken exactly as they are, on a split."""
        ...


def evaluate(folder: Path, split: str | None, prompt: str | None, plugin_files: Sequence[Path]) -> None:
    """Evaluate a finished run's policy and guidance on a split, or ``prompt`` alone; print the scores as JSON.

    Raises :class:`~tgframe.errors.ComponentError` when there is a prompt, but the task has no ``measure``.
    """
    from tgframe import finished
    from tgframe.registry.manager import load_plugins

    loaded = finished.load(folder, load_plugins(files=plugin_files))
    split = split or loaded.recipe.schedule.test_split
    found = _policy(loaded, split) if prompt is None else _given(loaded, prompt, split)
    print(json.dumps({"split": split, "scores": dict(found.scores), "details": dict(found.details)}, indent=2))


def _policy(loaded: Loaded, split: str) -> Evaluation:
    from tgframe.engine.evaluation import evaluated

    return evaluated(loaded.parts, loaded.context.runtime, split, loaded.context.generator(f"evaluate/{split}"))


def _given(loaded: Loaded, prompt: str, split: str) -> Evaluation:
    from tgframe.errors import ComponentError

    task = loaded.parts.task
    if not isinstance(task, Measures):
        raise ComponentError(
            f"`--prompt` must go with a task that can measure a given output, but {loaded.parts.label('task')} cannot. "
            "Leave it out to evaluate the policy."
        )
    return task.measure([prompt], split)
