"""One text with its summaries, read strictly from whichever columns hold them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from tgframe import DataError


@attrs.frozen
class Row:
    """One text to summarize."""

    source: str
    """Empty where the data have none."""
    targets: tuple[str, ...]
    """Its summaries, empty ones left out."""

    @property
    def key(self) -> str:
        """A hash of source and targets: the row's id, wherever it stands."""
        return _hash([self.source, self.targets])

    @property
    def source_key(self) -> str:
        """A hash of the source: rows with one source never part."""
        return _hash(self.source)


@attrs.frozen
class Reader:
    """Makes rows of what the data hold."""

    place: str
    """How messages call where rows come from: ``split 'train' (pairs.jsonl)``."""
    source: str
    """Column of the texts."""
    target: str
    """Column of the summaries."""

    def row(self, number: int, values: Mapping[str, Any]) -> Row:
        """Read row ``number``, counted from 0: a list of sources is one text, a list of targets is several.

        Raises :class:`~tgframe.DataError` where a cell is neither a text nor a list of texts.
        """
        source, targets = self._texts(number, values, self.source), self._texts(number, values, self.target)
        return Row(" ".join(source), tuple(dict.fromkeys(targets)))

    def _texts(self, number: int, values: Mapping[str, Any], column: str) -> list[str]:
        value = values[column]
        texts = value if isinstance(value, list) else [value]
        if any(not isinstance(text, str | None) for text in texts):
            told = repr(value)
            raise DataError(
                f"Column {column!r} in row {number} of {self.place} must be a text or a list of texts, but is "
                f"{told if len(told) <= 80 else told[:80] + '…'} instead. Mend the row, or name another column."
            )
        return [text.strip() for text in texts if text is not None and text.strip()]


def _hash(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
