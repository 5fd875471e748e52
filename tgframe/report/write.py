"""From a folder to its page."""

from __future__ import annotations

from pathlib import Path

from tgframe.errors import RunFolderError
from tgframe.report.reading import read_json
from tgframe.report.render import render
from tgframe.report.run_files import read_run
from tgframe.report.run_page import run_page
from tgframe.report.swap_page import swap_page
from tgframe.runtime.files import write_text

PAGE = "report.html"
SWAP = "swap.json"
RUN = ("recipe.yaml", "result.json", "metrics.jsonl", "samples.jsonl")
"""Any of these makes a folder a run folder, finished or not."""


def write_page(folder: Path) -> Path:
    """Write the page of ``folder``; see :func:`tgframe.report.write_report`."""
    swap = read_json(folder / SWAP)
    if swap is not None:
        html = render("swap.html", swap_page(folder, swap))
    elif any((folder / name).is_file() for name in RUN):
        html = render("run.html", run_page(read_run(folder)))
    else:
        found = "holds neither recipe.yaml nor swap.json" if folder.is_dir() else "is no folder"
        raise RunFolderError(
            f"{str(folder)!r} must be a run folder or a swap folder, but {found}. "
            "Name a folder that `tgframe run` or `tgframe swap` wrote."
        )
    write_text(folder / PAGE, html)
    return folder / PAGE
