"""From a data source to usable rows by split."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tgframe import DataError, TgframeWarning
from tgframe_summarization.row import Reader
from tgframe_summarization.rows import Rows

if TYPE_CHECKING:
    from tgframe import Splits
    from tgframe_summarization.task import Summarization

TRAIN, DEV = "train", "dev"


def read(options: Summarization, data: Splits) -> dict[str, Rows]:
    """Return the usable rows of every split; where the data have no dev rows, a share of the train rows is taken.

    Warns once of rows that are left out. Raises :class:`~tgframe.DataError` where a split has no usable row or no such
    column, and where there are no train rows.
    """
    if TRAIN not in data.rows:
        raise DataError(f"The data must have a split {TRAIN!r}, but has {', '.join(map(repr, data.rows))} instead.")
    found = {split: _split(options, data, split) for split in data.rows}
    _tell_dropped(found)
    if DEV not in found and options.dev_share is not None:
        found[TRAIN], found[DEV] = _divided(found[TRAIN], options.dev_share)
    return found


def _split(options: Summarization, data: Splits, split: str) -> Rows:
    place = _place(data, split)
    columns = data.rows[split].column_names
    source = _column("source", options.source, columns, place)
    target = _column("target", options.target, [name for name in columns if name != source], place)
    rows = Rows.read(data.rows[split], Reader(place, source, target))
    if not len(rows):
        raise DataError(
            f"A row of {place} must have a text in {source!r} and a summary in {target!r}, but none of its "
            f"{len(data.rows[split])} rows has both. Check the data, `task.source` and `task.target`."
        )
    return rows


def _column(what: str, names: str | Sequence[str], columns: Sequence[str], place: str) -> str:
    """Return the first of the accepted ``names`` that is among ``columns``."""
    accepted = (names,) if isinstance(names, str) else names
    for name in accepted:
        if name in columns:
            return name
    raise DataError(
        f"The {what} column of {place} must be {' or '.join(map(repr, accepted))}, but the columns are "
        f"{', '.join(map(repr, columns)) or 'none'} instead. Name the column in `task.{what}`."
    )


def _divided(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """Return train and dev rows: dev has those whose sources have the smallest hashes, one source at least."""
    hashes = {key: rows.get(key).source_key for key in rows.ids}
    last = sorted(hashes.values())[math.ceil(share * len(rows)) - 1]
    dev = [key for key, found in hashes.items() if found <= last]
    train = [key for key, found in hashes.items() if found > last]
    if not train:
        raise DataError(
            f"`task.dev_share` must leave train rows, but {share} of {len(rows)} rows leaves none. Lower it, or write "
            "null where nothing reads the split 'dev'."
        )
    return rows.only(train), attrs.evolve(rows.only(dev), dropped={})  # what was left out is counted once


def _tell_dropped(splits: dict[str, Rows]) -> None:
    told = [
        f"{count} {reason.replace('_', ' ')} in {split!r}"
        for split, rows in splits.items()
        for reason, count in rows.dropped.items()
    ]
    if told:
        warnings.warn(f"Rows are left out: {', '.join(told)}. The manifest counts them.", TgframeWarning, stacklevel=2)


def _place(data: Splits, split: str) -> str:
    source = data.provenance.get(split)
    return f"split {split!r}" + (f" ({Path(source).name})" if source else "")
