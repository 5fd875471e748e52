"""The page of a run or of a swap: one HTML file that needs no network, read from the files of the folder alone."""

from __future__ import annotations

from pathlib import Path


def write_report(folder: Path) -> Path:
    """Write ``report.html`` into a run folder or a swap folder and return its path.

    Raises :class:`~tgframe.errors.RunFolderError` when ``folder`` is neither, when a file of it is damaged, and when
    the page cannot be written.
    """
    from tgframe.report.write import write_page

    return write_page(Path(folder))
