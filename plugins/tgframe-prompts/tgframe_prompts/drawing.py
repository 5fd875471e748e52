"""Draws a few rows of each class."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from tgframe import DataError, Splits
from tgframe_prompts.examples import label_names, place, require, texts_of
from tgframe_prompts.reading import DEV, TRAIN, names

if TYPE_CHECKING:
    from tgframe_prompts.few_shot import FewShot

TEST = "test"


@attrs.frozen
class Row:
    """One row of the source."""

    split: str
    place: int
    text: str
    label: str


def drawn(options: FewShot, source: Splits) -> Splits:
    """Return the splits that ``options`` make of those of ``source``."""
    found = {split: rows for split, rows in _splits(options, source).items() if rows}
    origins = {split: rows[0].split for split, rows in found.items()}
    places = {split: sorted(row.place for row in rows) for split, rows in found.items()}
    digest = hashlib.sha256(f"{source.fingerprint} {sorted(origins.items())} {sorted(places.items())}".encode())
    rows = {split: source.rows[origin].select(places[split]) for split, origin in origins.items()}
    told = {split: f"drawn from {source.provenance.get(origins[split], origins[split])}" for split in rows}
    return Splits(rows, digest.hexdigest(), {**source.provenance, **told})


def _splits(options: FewShot, source: Splits) -> dict[str, list[Row]]:
    require(source, TRAIN)
    train, left = _draw(options, source, TRAIN, _new(_rows(options, source, TRAIN), ()))
    if DEV in source.rows:
        dev, _ = _draw(options, source, DEV, _new(_rows(options, source, DEV), train))
    else:
        dev, left = _draw(options, source, DEV, left)
    return {TRAIN: train, DEV: dev, TEST: _rows(options, source, TEST) if TEST in source.rows else left}


def _rows(options: FewShot, source: Splits, split: str) -> list[Row]:
    """Return the rows of the classes that are taken."""
    texts = texts_of(source, split, names(options.text), "task.data.text")
    labels = label_names(source, split, names(options.label), "task.data.label")
    rows = [Row(split, i, text, label) for i, (text, label) in enumerate(zip(texts, labels, strict=True))]
    return rows if options.classes is None else [row for row in rows if row.label in options.classes]


def _new(rows: Iterable[Row], known: Iterable[Row]) -> list[Row]:
    """Return the first row of each text that is not known."""
    seen = {row.text for row in known}
    found: dict[str, Row] = {}
    for row in rows:
        if row.text not in seen:
            found.setdefault(row.text, row)
    return list(found.values())


def _draw(options: FewShot, source: Splits, split: str, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return ``shots`` rows of each class for ``split``, and those that are left."""
    classes = options.classes or sorted({row.label for row in rows})
    found: dict[str, list[Row]] = {label: [] for label in classes}
    left: list[Row] = []
    for row in random.Random(f"{split}/{options.data_seed}").sample(rows, len(rows)):
        of_class = found[row.label]
        (of_class if len(of_class) < options.shots else left).append(row)
    _refuse_few(options, source, split, found)
    return [row for of_class in found.values() for row in of_class], left


def _refuse_few(options: FewShot, source: Splits, split: str, found: Mapping[str, Sequence[Row]]) -> None:
    origin = split if split in source.rows else TRAIN
    for label, rows in found.items():
        if len(rows) < options.shots:
            raise DataError(
                f"Every class must have {options.shots} different texts for {split!r}, but {label!r} has {len(rows)} "
                f"{'left ' if split != origin else ''}in {place(source, origin)}. Lower `task.data.shots`, or add rows."
            )
