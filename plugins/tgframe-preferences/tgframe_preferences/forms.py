"""The column sets in which people keep preferences, and how each becomes a :class:`Row`.

They are those of TRL, and beside them one for more than two completions. A form is known by its columns; what else a
row holds comes along as extra columns. Texts may be plain, or lists of messages.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import attrs

from tgframe import DataError
from tgframe_preferences.cells import Cells
from tgframe_preferences.row import Row, Text


@attrs.frozen
class Form:
    """One set of columns."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Cells, Turns], Row]

    @property
    def columns(self) -> frozenset[str]:
        """All columns that it reads."""
        return frozenset((*self.required, *self.optional))

    def __str__(self) -> str:
        more = f" (and {', '.join(self.optional)})" if self.optional else ""
        return ", ".join(self.required) + more


Turns = tuple[str, ...]
"""Texts after which a reply begins: where an implicit prompt may end."""


def form_of(columns: Collection[str], place: str) -> Form:
    """Return the form that these columns are written in. Raises :class:`~tgframe.DataError` listing all forms."""
    for form in FORMS:
        if set(form.required) <= set(columns):
            return form
    known = "; ".join(map(str, FORMS))
    told = ", ".join(map(repr, columns)) or "none"
    raise DataError(
        f"The columns of {place} must be one of these sets: {known}; but they are {told} instead. Rename them."
    )


def read(form: Form, cells: Cells, turns: Turns) -> Row:
    """Return one row. Raises :class:`~tgframe.DataError` naming row, column and value."""
    row = form.read(cells, turns)
    kinds = {isinstance(text, str) for text in (row.prompt, *row.completions)}
    if len(kinds) > 1:
        raise DataError(f"Prompt and completions in {cells.place} must all be texts, or all be messages. Mend the row.")
    extra = {name: value for name, value in cells.values.items() if name not in form.columns}
    return attrs.evolve(row, extra=extra)


def _completions(cells: Cells, turns: Turns) -> Row:
    texts = cells.texts("completions")
    count, there = len(texts), cells.values.keys()
    return Row(
        cells.text("prompt"),
        texts,
        cells.ranks("ranks", count) if "ranks" in there else None,
        cells.numbers("scores", count) if "scores" in there else None,
        cells.numbers("labels", count) if "labels" in there else None,
        cells.truths("demonstrations", count) if "demonstrations" in there else None,
    )


def _pair(cells: Cells, turns: Turns) -> Row:
    return _chosen_first(cells.text("prompt"), cells.text("chosen"), cells.text("rejected"))


def _implicit_pair(cells: Cells, turns: Turns) -> Row:
    """The prompt is what both texts begin with."""
    chosen, rejected = cells.text("chosen"), cells.text("rejected")
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise DataError(f"Columns 'chosen' and 'rejected' in {cells.place} must both be texts, or both be messages.")
    size = common_prompt(chosen, rejected, turns)
    return _chosen_first(chosen[:size], chosen[size:], rejected[size:])


def _chosen_first(prompt: Text, chosen: Text, rejected: Text) -> Row:
    return Row(prompt, (chosen, rejected), ranks=(0, 1), labels=(1.0, 0.0), demonstrations=(True, False))


def _single(column: str) -> Callable[[Cells, Turns], Row]:
    """A row with one completion and its label or score."""

    def read(cells: Cells, turns: Turns) -> Row:
        marked = (cells.truth("demonstration"),) if "demonstration" in cells.values else None
        row = Row(cells.text("prompt"), (cells.text("completion"),), demonstrations=marked)
        value = (cells.number(column),)
        return attrs.evolve(row, labels=value) if column == "label" else attrs.evolve(row, scores=value)

    return read


def _demonstration(cells: Cells, turns: Turns) -> Row:
    return Row(cells.text("prompt"), (cells.text("completion"),), demonstrations=(True,))


def common_prompt(chosen: Text, rejected: Text, turns: Turns) -> int:
    """Return how much of two texts, or of two conversations, is the prompt: what both begin with, up to the reply.

    In texts it ends after the last of ``turns`` that both share, else before the word in which they part.
    """
    if not isinstance(chosen, str) or not isinstance(rejected, str):
        return min(_shared(chosen, rejected), len(chosen) - 1, len(rejected) - 1)
    shared = chosen[: _shared(chosen, rejected)]
    ends = [shared.rfind(turn) + len(turn) for turn in turns if turn in shared]
    if ends:
        return max(ends)
    inside_a_word = any(text[len(shared) : len(shared) + 1].isalnum() for text in (chosen, rejected))
    return max(shared.rfind(" "), shared.rfind("\n"), 0) if inside_a_word else len(shared)


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return with how many equal entries (characters, messages) both begin."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


def _forms() -> tuple[Form, ...]:
    beside: Any = ("ranks", "scores", "labels", "demonstrations")
    return (
        Form(("prompt", "completions"), beside, _completions),
        Form(("prompt", "chosen", "rejected"), (), _pair),
        Form(("chosen", "rejected"), (), _implicit_pair),
        Form(("prompt", "completion", "label"), ("demonstration",), _single("label")),
        Form(("prompt", "completion", "score"), ("demonstration",), _single("score")),
        Form(("prompt", "completion"), (), _demonstration),
    )


FORMS = _forms()
"""In the order in which they are tried."""
