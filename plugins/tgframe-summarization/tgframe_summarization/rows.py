"""The rows of one split that can be used, by id. Texts stay where the data keep them until they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from tgframe_summarization.row import Reader, Row

if TYPE_CHECKING:
    from datasets import Dataset


@attrs.frozen(eq=False)
class Rows:
    """Some rows of one split, in their order."""

    data: Dataset
    reader: Reader
    places: dict[str, int]
    """Id to the number of the row in ``data``."""
    dropped: dict[str, int] = attrs.field(factory=dict)
    """Why rows were left out, and how many."""
    longest: tuple[Row, ...] = ()
    """The row with the longest source and the one with the longest target, in characters, of all that were read."""

    @classmethod
    def read(cls, data: Dataset, reader: Reader) -> Rows:
        """Read all rows once; leave out and count those without a text or without a summary."""
        places: dict[str, int] = {}
        longest: tuple[Row, ...] = ()
        dropped = {"without_source": 0, "without_target": 0}
        columns = data.select_columns([reader.source, reader.target])
        for number, row in _numbered(columns, reader):
            if not row.source:
                dropped["without_source"] += 1
            elif not row.targets:
                dropped["without_target"] += 1
            else:
                places[_unused(row.key, places)] = number
                longest = _longest(*longest, row)
        return cls(data, reader, places, {reason: count for reason, count in dropped.items() if count}, longest)

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def ids(self) -> list[str]:
        """The ids, in order."""
        return list(self.places)

    def only(self, ids: Sequence[str]) -> Rows:
        """Return the rows ``ids``, in that order."""
        return attrs.evolve(self, places={key: self.places[key] for key in ids})

    def get(self, key: str) -> Row:
        """Return one row."""
        number = self.places[key]
        return self.reader.row(number, self.data[number])

    def extra(self, ids: Sequence[str]) -> dict[str, list[Any]]:
        """Return the columns that are neither source nor target, a value for each of ``ids``."""
        names = [name for name in self.data.column_names if name not in (self.reader.source, self.reader.target)]
        found = [self.data[self.places[key]] for key in ids] if names else []
        return {name: [values[name] for values in found] for name in names}


def _numbered(data: Dataset, reader: Reader) -> Iterator[tuple[int, Row]]:
    for number, values in enumerate(data):
        yield number, reader.row(number, values)


def _longest(*rows: Row) -> tuple[Row, Row]:
    return (
        max(rows, key=lambda row: len(row.source)),
        max(rows, key=lambda row: max(map(len, row.targets))),
    )


def _unused(key: str, taken: dict[str, int]) -> str:
    """Return the id of a row: of equal rows, the second is called ``ID-2``, and so on."""
    name, number = key, 1
    while name in taken:
        number += 1
        name = f"{key}-{number}"
    return name
