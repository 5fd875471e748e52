"""Cells of a row, read strictly: what is not as it must be is told with its row, column and value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tgframe import DataError
from tgframe_preferences.row import Messages, Text


@attrs.frozen
class Cells:
    """One raw row with its place in the data."""

    place: str
    """How messages call it: ``row 3 of 'pairs.jsonl'``."""
    values: Mapping[str, Any]

    def wrong(self, column: str, must: str, value: Any, remedy: str = "Mend the row.") -> DataError:
        """Return the error about one cell."""
        return DataError(f"Column {column!r} in {self.place} must {must}, but is {_short(value)} instead. {remedy}")

    def text(self, column: str) -> Text:
        """Return a text, or the messages of a conversation."""
        return self._text(column, self.values[column])

    def texts(self, column: str) -> tuple[Text, ...]:
        """Return a list of texts, at least one."""
        value = self.values[column]
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise self.wrong(column, "be a list of one text or more", value)
        return tuple(self._text(column, entry) for entry in value)

    def numbers(self, column: str, count: int) -> tuple[float | None, ...]:
        """Return ``count`` numbers, None where there is none."""
        return tuple(self._number(column, value) for value in self._list(column, count))

    def ranks(self, column: str, count: int) -> tuple[int | None, ...]:
        """Return ``count`` whole numbers, None where there is none."""
        values = self._list(column, count)
        for value in values:
            whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
            if value is not None and not (whole and value >= 0):
                raise self.wrong(column, "hold whole numbers from 0 (the best), or null", value)
        return tuple(None if value is None else int(value) for value in values)

    def truths(self, column: str, count: int) -> tuple[bool, ...]:
        """Return ``count`` truth values."""
        values = self._list(column, count)
        for value in values:
            if not isinstance(value, bool):
                raise self.wrong(column, "hold true or false", value)
        return tuple(values)

    def number(self, column: str) -> float | None:
        """Return one number, or a truth value as 1 or 0; None where there is none."""
        return self._number(column, self.values[column])

    def truth(self, column: str) -> bool:
        """Return one truth value."""
        value = self.values[column]
        if not isinstance(value, bool):
            raise self.wrong(column, "be true or false", value)
        return value

    def _list(self, column: str, count: int) -> list[Any]:
        value = self.values[column]
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
            raise self.wrong(column, f"be a list of {count}, one for each completion", value)
        return list(value)

    def _number(self, column: str, value: Any) -> float | None:
        if value is None:
            return None
        if not isinstance(value, bool | int | float):
            raise self.wrong(column, "be a number, true, false or null", value)
        if not math.isfinite(value):
            raise self.wrong(column, "be finite", value, "Write null where there is no judgment.")
        return float(value)

    def _text(self, column: str, value: Any) -> Text:
        if isinstance(value, str):
            return value
        if isinstance(value, Sequence) and value and all(isinstance(turn, Mapping) for turn in value):
            return self._messages(column, value)
        raise self.wrong(column, "be a text, or a list of messages with 'role' and 'content'", value)

    def _messages(self, column: str, turns: Sequence[Mapping[str, Any]]) -> Messages:
        for turn in turns:
            if not isinstance(turn.get("role"), str) or not isinstance(turn.get("content"), str):
                raise self.wrong(column, "hold messages whose 'role' and 'content' are texts", turn)
        return tuple({"role": turn["role"], "content": turn["content"]} for turn in turns)


def _short(value: Any, limit: int = 80) -> str:
    told = repr(value)
    return told if len(told) <= limit else f"{told[:limit]}…"
