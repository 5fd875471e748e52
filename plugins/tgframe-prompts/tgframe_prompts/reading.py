"""From a task's options to labelled texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tgframe import DataError
from tgframe_prompts.examples import Examples, label_names, read, require

if TYPE_CHECKING:
    from tgframe import Splits
    from tgframe_prompts.task import PromptClassification

TRAIN, DEV = "train", "dev"


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
    """Read all splits; those that are only reported on are cut down to a fixed balanced sample."""
    found = {}
    for split in splits.rows:
        whole = read(splits, split, names(options.text), names(options.label), verbalizers)
        sampled = options.test_rows if split not in (TRAIN, DEV) else None
        # The sample belongs to the data, not to the run: every run is measured on the same rows.
        found[split] = whole.sample(sampled, torch.Generator().manual_seed(0))
    return found


def require_splits(splits: Splits) -> None:
    """Raise :class:`~tgframe.DataError` unless there is something to judge prompts on."""
    for split in (TRAIN, DEV):
        require(splits, split)
