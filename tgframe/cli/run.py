"""``tgframe run``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def run(
    recipe: Path,
    overrides: Sequence[str],
    output: Path | None,
    resume: bool,
    allow_change: bool,
    plugin_files: Sequence[Path],
) -> None:
    """Run a recipe, or go on with an unfinished run; print the scores of its result, and where the run folder is.

    Of several processes that a launcher has started, the first one prints; the others tell their own errors alone.
    """
    from tgframe import compose
    from tgframe.registry.manager import load_plugins
    from tgframe.runtime.processes import Ended, Processes

    try:
        processes = Processes.join()
        with processes.agreed():
            plugins = load_plugins(files=plugin_files)
        folder = compose.run(recipe, overrides, output, plugins, resume=resume, allow_change=allow_change, tell=_tell)
    except Ended as ended:
        sys.exit(ended.status)
    if processes.is_main:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        print(table(result))
        print(f"run folder: {folder}", file=sys.stderr)


def _tell(message: str) -> None:
    print(message, file=sys.stderr)


def table(result: dict[str, Any]) -> str:
    """Return the scores of a result as text: a line a system, a column a metric."""
    metrics = list(result["scores"])
    systems = list(dict.fromkeys(system for scores in result["scores"].values() for system in scores))
    width = max(map(len, [*systems, "system"]))
    widths = {metric: max(10, len(metric)) for metric in metrics}
    lines = [f"{'system':<{width}}  " + "  ".join(f"{metric:>{widths[metric]}}" for metric in metrics)]
    for system in systems:
        values = {metric: result["scores"][metric].get(system) for metric in metrics}
        cells = {metric: "" if value is None else f"{value:.4f}" for metric, value in values.items()}
        row = "  ".join(f"{cells[metric]:>{widths[metric]}}" for metric in metrics)
        lines.append(f"{system:<{width}}  {row}".rstrip())
    cost = result["cost"]
    lines.append(
        f"{cost['seconds']:.0f} s ({cost['evaluation_seconds']:.0f} s of it evaluation and baselines), "
        f"{cost['preference_calls']} preference calls, {cost['sampled_tokens']} tokens sampled, "
        f"{cost['peak_memory_bytes'] / 2**20:.0f} MiB"
    )
    return "\n".join(lines)
