"""From a data source to rows by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tgframe import DataError
from tgframe_preferences.cells import Cells
from tgframe_preferences.forms import form_of, read
from tgframe_preferences.row import Row

if TYPE_CHECKING:
    from tgframe import Splits
    from tgframe_preferences.task import PreferenceRows

TRAIN = "train"


def rows_of(options: PreferenceRows, data: Splits) -> dict[str, list[Row]]:
    """Return the rows of every split. Raises :class:`~tgframe.DataError` naming file, row, column and value."""
    if TRAIN not in data.rows:
        raise DataError(f"The data must have a split {TRAIN!r}, but has {', '.join(map(repr, data.rows))} instead.")
    if options.folds is None:
        return {split: _read(options, data, split) for split in data.rows}
    divided = options.folds.divide(_read(options, data, TRAIN))
    for split, rows in divided.items():
        if not rows:
            raise DataError(f"`task.folds` leaves no rows for {split!r}. Use fewer parts, or more rows.")
    return divided


def _read(options: PreferenceRows, data: Splits, split: str) -> list[Row]:
    dataset = data.rows[split]
    source = data.provenance.get(split)
    where = repr(Path(source).name) if source else f"split {split!r}"
    form = form_of(dataset.column_names, where)
    cells = (Cells(f"row {number} of {where}", values) for number, values in enumerate(dataset, 1))
    return [read(form, cell, options.turns) for cell in cells]


def named(rows: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Row]]:
    """Return rows by id, in their order. Of equal rows, the second is called ``ID-2``, and so on."""
    found: dict[str, dict[str, Row]] = {}
    for split, sequence in rows.items():
        found[split] = {}
        for row in sequence:
            key, number = row.key, 1
            while key in found[split]:
                number += 1
                key = f"{row.key}-{number}"
            found[split][key] = row
    return found
