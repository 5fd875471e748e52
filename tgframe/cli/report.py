"""``tgframe report``."""

from __future__ import annotations

from pathlib import Path


def report(folder: Path) -> None:
    """Write the page of a run or of a swap and print where it is."""
    from tgframe.report import write_report

    print(f"report: {write_report(folder)}")
