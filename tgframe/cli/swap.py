"""``tgframe swap``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tgframe.swap.plan import Plan
    from tgframe.swap.request import Request


def swap(request: Request, output: Path | None, jobs: int, dry_run: bool, plugin_files: Sequence[Path]) -> None:
    """Run a recipe with parts exchanged, over seeds; print what the differences are worth.

    Every cell is checked before the first one runs. Exits 1 where a run failed, 130 when it is interrupted.
    """
    from tgframe.registry.manager import load_plugins
    from tgframe.swap.plan import make_plan
    from tgframe.swap.table import counted, show_plan

    plan = make_plan(request, load_plugins(files=plugin_files))
    if dry_run:
        print(show_plan(plan))
        print(counted(len(plan.runs), "run"))
        return
    folder = output if output is not None else _next_folder(request.recipe)
    try:
        _run(plan, folder, jobs, plugin_files)
    except KeyboardInterrupt:
        print(f"stopped; the same command with --output {folder} goes on with it", file=sys.stderr)
        sys.exit(130)


def _run(plan: Plan, folder: Path, jobs: int, plugin_files: Sequence[Path]) -> None:
    from tgframe.report import write_report
    from tgframe.swap.run import swap
    from tgframe.swap.table import counted, show_results

    found = swap(plan, folder, jobs=jobs, plugin_files=plugin_files, say=_say)
    print(show_results(found))
    print(f"report: {write_report(folder)}", file=sys.stderr)
    failed = sum(run["status"] == "failed" for cell in found["cells"] for run in cell["runs"])
    if failed:
        print(f"{counted(failed, 'run')} failed; the same command with --output {folder} tries again", file=sys.stderr)
        sys.exit(1)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _next_folder(recipe: Path) -> Path:
    number = 1
    while (folder := Path("runs") / f"{recipe.stem}-swap-{number}").exists():
        number += 1
    return folder
