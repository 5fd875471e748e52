"""What samples.jsonl holds, without holding it: a large file is read once, and rows again when they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from tgframe.report.reading import Row, mappings, mean, number, parse_row, unreadable, whole

Place = tuple[int, int]
"""Number of a row, and which of its completions."""

Text = tuple[str, str]
"""Prompt id and completion."""


@attrs.frozen
class Entry:
    """What is remembered of one row."""

    offset: int
    """Where the row begins in the file, in bytes."""
    phase: str
    step: int
    """Improvement steps so far."""
    ground_step: int
    preference: float | None
    """Mean of the judged completions."""
    aggregate: float | None
    """Mean aggregated guidance."""
    best: float | None
    """Highest preference."""

    @property
    def updates(self) -> int:
        """How many grounding steps had changed the guidance: a grounding row is written before its own step does."""
        return max(0, self.ground_step - (self.phase == "ground"))


@attrs.frozen
class Index:
    """The rows of one samples.jsonl."""

    path: Path
    entries: list[Entry] = attrs.field(factory=list)
    damaged: list[int] = attrs.field(factory=list)
    """Offsets of lines that could not be read."""
    texts: dict[Text, list[Place]] = attrs.field(factory=dict)
    """Where each completion occurs."""
    judged: dict[Text, tuple[float, Place]] = attrs.field(factory=dict)
    """The highest preference of each judged completion, and where it has it."""

    def load(self, place: int) -> Row:
        """Read one row again."""
        with self.path.open("rb") as file:
            file.seek(self.entries[place].offset)
            return parse_row(file.readline()) or {}


def index_samples(path: Path) -> Index:
    """Read samples.jsonl once; a file that is missing is an empty one."""
    index = Index(path)
    for offset, line in _lines(path):
        row = parse_row(line)
        if row is None:
            index.damaged.append(offset)
        else:
            _add(index, offset, row)
    return index


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if line.strip():
                    yield offset, line
                offset += len(line)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unreadable(path, error) from error


def _add(index: Index, offset: int, row: Row) -> None:
    completions = mappings(row.get("completions"))
    preferences = [number(completion.get("preference")) for completion in completions]
    here = len(index.entries)
    for position, (completion, preference) in enumerate(zip(completions, preferences, strict=True)):
        text = (str(row.get("prompt_id")), str(completion.get("text")))
        index.texts.setdefault(text, []).append((here, position))
        if preference is not None:
            found = (preference, (here, position))
            index.judged[text] = max(index.judged.get(text, found), found)
    index.entries.append(
        Entry(
            offset,
            str(row.get("phase")),
            whole(row.get("step")),
            whole(row.get("ground_step")),
            mean(preferences),
            mean(number(completion.get("aggregate")) for completion in completions),
            max((value for value in preferences if value is not None), default=None),
        )
    )
