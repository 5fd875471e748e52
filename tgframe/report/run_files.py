"""The files of one run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tgframe.report.index import Index, index_samples
from tgframe.report.reading import Row, newest, read_json, read_rows, read_text

NAMES = ("recipe.yaml", "manifest.json", "metrics.jsonl", "samples.jsonl", "eval.jsonl", "result.json")


@attrs.frozen
class RunFiles:
    """What a run folder holds. Files that are missing are None or empty."""

    folder: Path
    recipe: str | None
    manifest: Row
    metrics: Sequence[Row]
    samples: Index
    evaluations: Sequence[Row]
    """The rows of eval.jsonl."""
    result: Row | None
    notices: Sequence[str]
    """Sentences about lines that could not be read."""

    @property
    def written(self) -> str:
        """When the newest file was written."""
        return newest(self.folder, NAMES)

    def rows(self, phase: str) -> Iterator[Row]:
        """Yield the rows of metrics.jsonl of one phase."""
        return (row for row in self.metrics if row.get("phase") == phase)


def read_run(folder: Path) -> RunFiles:
    """Read a run folder. Raises RunFolderError for a damaged JSON file; damaged lines are counted and left out."""
    metrics, damaged = read_rows(folder / "metrics.jsonl")
    samples = index_samples(folder / "samples.jsonl")
    evaluations, torn = read_rows(folder / "eval.jsonl")
    counts = {"metrics.jsonl": damaged, "samples.jsonl": len(samples.damaged), "eval.jsonl": torn}
    return RunFiles(
        folder,
        read_text(folder / "recipe.yaml"),
        read_json(folder / "manifest.json") or {},
        metrics,
        samples,
        evaluations,
        read_json(folder / "result.json"),
        [_notice(name, count) for name, count in counts.items() if count],
    )


def _notice(name: str, count: int) -> str:
    lines = "1 line" if count == 1 else f"{count} lines"
    return f"{lines} of {name} could not be read and {'is' if count == 1 else 'are'} left out."
