"""From a task's options to labelled texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tgframe import DataError
from tgframe_prompts.examples import Examples, label_names, read, require

if TYPE_CHECKING:
    from tgframe import Splits
    from tgframe_prompts.task import PromptClassification

TRAIN, DEV = "train", "dev"
TEST_ROWS, BEST_ROWS = "test_rows", "best_rows"
"""Samples of the reported split: of means over many prompts, and of the few that were chosen."""


def names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return accepted column names."""
    return (value,) if isinstance(value, str) else tuple(value)


def words(options: PromptClassification, splits: Splits) -> dict[str, str]:
    """Return label to verbaliser, in the order of the classes."""
    if options.verbalizers is None:
        labels = sorted(set(label_names(splits, TRAIN, names(options.label))))
        found = {label: label for label in labels}
    else:
        found = dict(options.verbalizers)
    if len(found) < 2:
        raise DataError(
            f"A classification must have at least 2 classes, but has {len(found)} instead: "
            f"{', '.join(map(repr, found))}. Check `task.label` and `task.verbalizers`."
        )
    return found


def examples(options: PromptClassification, splits: Splits, verbalizers: dict[str, str]) -> dict[str, Examples]:
    """Read all splits; those that are only reported on are cut down to fixed balanced samples."""
    best = options.test_rows if options.best_rows == "test_rows" else options.best_rows
    counts = {TEST_ROWS: options.test_rows, BEST_ROWS: best}
    found = {}
    for split in splits.rows:
        whole = read(splits, split, names(options.text), names(options.label), verbalizers)
        found[split] = whole if split in (TRAIN, DEV) else whole.sampled(counts)
    return found


def seen_before(splits: Mapping[str, Examples]) -> dict[str, int]:
    """Return how many texts of each split stand in an earlier one as well: train, dev, then the others."""
    counts: dict[str, int] = {}
    seen: set[str] = set()
    for split in dict.fromkeys((TRAIN, DEV, *splits)):
        texts = splits[split].texts
        counts[split] = sum(text in seen for text in texts)
        seen.update(texts)
    return counts


def require_splits(splits: Splits) -> None:
    """Raise :class:`~tgframe.DataError` unless there is something to judge prompts on."""
    for split in (TRAIN, DEV):
        require(splits, split)
