"""Labelled texts of one split, read from the rows of any data source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe import DataError

if TYPE_CHECKING:
    from tgframe import Splits


@attrs.frozen(eq=False)
class Examples:
    """``N`` labelled texts of one split."""

    split: str
    texts: tuple[str, ...]
    labels: Tensor
    """int64 ``[N]``: places in the task's list of classes."""
    samples: Mapping[str, Tensor] = attrs.field(factory=dict)
    """Name to the int64 places, ascending, of a sample of the texts."""

    def __len__(self) -> int:
        return len(self.texts)

    def balanced(self, share: float, generator: torch.Generator) -> Tensor:
        """Return int64 indices, ascending, of a random ``share`` of each class, at least one text of each."""
        return self._pick([max(1, round(share * int((self.labels == c).sum()))) for c in self._classes()], generator)

    def sampled(self, counts: Mapping[str, int | None]) -> Examples:
        """Return the texts that samples of these sizes need, with the samples.

        A sample has equally many texts of each class, as far as a class has them; all texts when its size is None. It
        is fixed, whatever others are drawn, and smaller ones are parts of larger ones.
        """
        places = {name: self._sample(count) for name, count in counts.items()}
        used = max(places.values(), key=len)
        samples = {name: torch.searchsorted(used, found) for name, found in places.items()}
        return Examples(self.split, tuple(self.texts[i] for i in used.tolist()), self.labels[used], samples)

    def sample(self, name: str) -> Tensor:
        """Return int64 ``[n]``, the places of the texts of a sample: all of them where there is no such sample."""
        return self.samples.get(name, torch.arange(len(self)))

    def _sample(self, count: int | None) -> Tensor:
        if count is None or count >= len(self):
            return torch.arange(len(self))
        each, more = divmod(count, len(self._classes()))
        counts = [each + (place < more) for place in range(len(self._classes()))]
        # The sample belongs to the data, not to the run: every run is measured on the same rows.
        return self._pick(counts, torch.Generator().manual_seed(0))

    def _classes(self) -> list[int]:
        return sorted(set(self.labels.tolist()))

    def _pick(self, counts: Sequence[int], generator: torch.Generator) -> Tensor:
        picked = []
        for label, count in zip(self._classes(), counts, strict=True):
            of_class = (self.labels == label).nonzero().squeeze(1)
            picked.append(of_class[torch.randperm(len(of_class), generator=generator)[:count]])
        return torch.cat(picked).sort().values


def column(splits: Splits, split: str, names: Sequence[str], option: str) -> list[Any]:
    """Return the first of the columns ``names``, the value of ``option``, that the split has."""
    rows = splits.rows[split]
    for name in names:
        if name in rows.column_names:
            return list(rows[name])
    wanted = " or ".join(repr(name) for name in names)
    raise DataError(
        f"The {option.rpartition('.')[2]} column of {place(splits, split)} must be {wanted}, but the columns are "
        f"{', '.join(map(repr, rows.column_names))} instead. Name the column in `{option}`."
    )


def texts_of(splits: Splits, split: str, names: Sequence[str], option: str = "task.text") -> list[str]:
    """Return the text of each row. ``option`` is what names the column.

    Raises :class:`~tgframe.DataError` when the column, a text or all rows are missing.
    """
    texts = column(splits, split, names, option)
    if not texts:
        raise DataError(f"{place(splits, split)} must have rows, but is empty. Check the file or the data's options.")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"Row {row} of {place(splits, split)} must have a text, but has {text!r} instead. Mend or drop it."
            )
    return texts


def label_names(splits: Splits, split: str, names: Sequence[str], option: str = "task.label") -> list[str]:
    """Return the label of each row as text; class names where the column has them. ``option`` is what names the column.

    Raises :class:`~tgframe.DataError` when the column or a label is missing.
    """
    values = column(splits, split, names, option)
    for row, value in enumerate(values):
        if value is None or value != value:  # a number column with empty cells may hold NaN
            raise DataError(f"Row {row} of {place(splits, split)} must have a label, but has none. Mend or drop it.")
    for name in names:
        feature = splits.rows[split].features.get(name)
        known = getattr(feature, "names", None)
        if known:
            return [known[value] if value in range(len(known)) else str(value) for value in values]
    return [str(value) for value in values]


def read(
    splits: Splits, split: str, text: Sequence[str], label: Sequence[str], verbalizers: Mapping[str, str]
) -> Examples:
    """Read one split.

    Raises :class:`~tgframe.DataError` when a column, a text or a label's verbaliser is missing, or the split or a class
    in it is empty.
    """
    require(splits, split)
    texts, labels = texts_of(splits, split, text), label_names(splits, split, label)
    classes = {name: position for position, name in enumerate(verbalizers)}
    for row, name in enumerate(labels):
        if name not in classes:
            raise DataError(
                f"Row {row} of {place(splits, split)} has the label {name!r}, which has no verbaliser. "
                f"Add it to `task.verbalizers` (there are {', '.join(map(repr, classes))}), or leave its rows out, as "
                "`classes` of `type: few-shot` does."
            )
    _refuse_empty_classes(splits, split, labels, classes)
    return Examples(split, tuple(texts), torch.tensor([classes[name] for name in labels]))


def require(splits: Splits, split: str) -> None:
    """Raise :class:`~tgframe.DataError` when the data has no such split."""
    if split not in splits.rows:
        raise DataError(
            f"The data must have a split {split!r}, but has {', '.join(map(repr, splits.rows)) or 'none'} instead. "
            "Name it in `task.data`; `type: few-shot` there draws dev and test from train."
        )


def place(splits: Splits, split: str) -> str:
    """Return ``split 'dev' (path)``: how messages call a split."""
    source = splits.provenance.get(split)
    return f"split {split!r}" + (f" ({source})" if source else "")


def _refuse_empty_classes(splits: Splits, split: str, labels: Iterable[str], classes: Mapping[str, int]) -> None:
    missing = classes.keys() - set(labels)
    if missing:
        raise DataError(
            f"Every class must have a row in {place(splits, split)}, but {', '.join(sorted(map(repr, missing)))} "
            "has none. Add rows, or take the class out of `task.verbalizers`."
        )
