"""One row of samples.jsonl as a card: the completions of a prompt beside each other, in the true order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import attrs

from tgframe.report.index import Entry
from tgframe.report.numbers import as_written
from tgframe.report.palette import Palette
from tgframe.report.readable import readable
from tgframe.report.reading import Row, mappings, number

TOKENS = 400
"""Tokens of a completion that are shown."""
CHARACTERS = 4000
"""Characters of a completion that are shown."""
PROMPT = 4000
"""Characters of a prompt that are shown."""
LONG = 40
"""Mean tokens of a completion from which two or three of them stand side by side."""


@attrs.frozen
class Token:
    """A token with its colour."""

    text: str
    style: str
    worth: str
    """As it stands in the file."""


@attrs.frozen
class Completion:
    """A completion with its judgment, its guidance, and whether the two agree."""

    text: str
    tokens: Sequence[Token]
    cut: int
    """Tokens that are not shown."""
    preference: float | None
    aggregate: float | None
    preference_width: float
    """Place between the lowest and the highest of the group, in percent."""
    aggregate_width: float
    against: int
    """Completions that guidance and preference order differently from this one."""
    sources: Sequence[tuple[str, float | None]]
    """What each preference source said."""

    @property
    def spoken(self) -> str:
        """The completion and the worth of each token, for those who do not see colours."""
        values = ", ".join(f"{token.text.strip() or 'space'} {token.worth}" for token in self.tokens)
        return f"{self.text.strip()[:500]}. Guidance: {values}"


@attrs.frozen
class Card:
    """One row."""

    place: int
    entry: Entry
    fit: int
    prompt: str
    prompt_cut: int
    completions: Sequence[Completion]
    pairs: int
    """Pairs of completions that the true preference orders."""
    alike: int
    """Those of them that aggregated guidance orders in the same way."""
    tied: int
    """Those of them that aggregated guidance does not order."""

    @property
    def side_by_side(self) -> bool:
        """Whether the completions are few and long."""
        tokens = sum(len(completion.tokens) for completion in self.completions)
        return 1 < len(self.completions) <= 3 and tokens > LONG * len(self.completions)

    @property
    def reversed(self) -> int:
        """Pairs that guidance and preference order differently."""
        return self.pairs - self.alike - self.tied


def guidance_values(row: Row) -> list[float]:
    """Return the guidance of every token that a card shows."""
    completions = mappings(row.get("completions"))
    found = [number(value) for completion in completions for value in _list(completion, "guidance")[:TOKENS]]
    return [value for value in found if value is not None]


def completion_of(raw: Row, palette: Palette, group: Sequence[Row] = ()) -> Completion:
    """Return one completion as it stands in its group."""
    tokens = _tokens(raw, palette)
    preference, aggregate = number(raw.get("preference")), number(raw.get("aggregate"))
    sources = raw.get("preferences")
    return Completion(
        str(raw.get("text", "")),
        tokens,
        len(_texts(raw)) - len(tokens),
        preference,
        aggregate,
        _width(preference, _numbers(group, "preference")),
        _width(aggregate, _numbers(group, "aggregate")),
        sum((_order(raw, other) or 0) < 0 for other in group),
        [(str(name), number(value)) for name, value in sources.items()] if isinstance(sources, dict) else [],
    )


def card(place: int, entry: Entry, row: Row, fit: int, palette: Palette) -> Card:
    """Return the card of one row, completions in the order of true preference, else of aggregated guidance."""
    group = mappings(row.get("completions"))
    ordered = sorted(group, key=lambda raw: (-_rank(raw, "preference"), -_rank(raw, "aggregate")))
    orders = [_order(one, other) for index, one in enumerate(ordered) for other in ordered[index + 1 :]]
    judged = [order for order in orders if order is not None]
    prompt = str(row.get("prompt", ""))
    return Card(
        place,
        entry,
        fit,
        prompt[:PROMPT],
        max(0, len(prompt) - PROMPT),
        [completion_of(raw, palette, group) for raw in ordered],
        len(judged),
        sum(order > 0 for order in judged),
        sum(order == 0 for order in judged),
    )


def _list(raw: Row, key: str) -> list[Any]:
    found = raw.get(key)
    return found if isinstance(found, list) else []


def _texts(raw: Row) -> list[str]:
    """Return the tokens of a completion; its text as one token where the file has none."""
    text = str(raw.get("text", ""))
    return readable([str(token) for token in _list(raw, "tokens")], text) or [text]


def _tokens(raw: Row, palette: Palette) -> list[Token]:
    texts = _shown(_texts(raw))
    values = [number(value) for value in _list(raw, "guidance")[: len(texts)]]
    values += [None] * (len(texts) - len(values))
    return [Token(text, palette.name(value), as_written(value)) for text, value in zip(texts, values, strict=True)]


def _shown(texts: Sequence[str]) -> list[str]:
    """Return the first tokens, as many as the page has room for."""
    ends = accumulate(len(text) for text in texts[:TOKENS])
    whole = sum(end <= CHARACTERS for end in ends)
    return list(texts[:whole]) or [texts[0][:CHARACTERS]]


def _rank(raw: Row, key: str) -> float:
    found = number(raw.get(key))
    return float("-inf") if found is None else found


def _order(one: Row, other: Row) -> int | None:
    """Return 1 where guidance orders two completions as the preference does, -1 where it does not, 0 for a tie of it.

    None where the preference does not order them, or a number is missing.
    """
    numbers = [number(raw.get(key)) for key in ("preference", "aggregate") for raw in (one, other)]
    first, second, high, low = numbers
    if first is None or second is None or high is None or low is None or first == second:
        return None
    if high == low:
        return 0
    return 1 if (first > second) == (high > low) else -1


def _numbers(group: Sequence[Row], key: str) -> list[float]:
    return [value for raw in group if (value := number(raw.get(key))) is not None]


def _width(value: float | None, group: Sequence[float]) -> float:
    """Return where ``value`` lies in its group, in percent, never so little that no bar is seen."""
    if value is None or not group:
        return 0.0
    low, high = min(group), max(group)
    return 100.0 if high == low else 6 + 94 * (value - low) / (high - low)
