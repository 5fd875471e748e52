"""Inputs of the classifier: token ids of prompt and text joined by the template, never longer than the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs

from tgframe import ModelError
from tgframe_prompts.rows import Row, encode, make_rows
from tgframe_prompts.template import Template

Truncate = Literal["left", "right"]


@attrs.frozen
class Input:
    """One input: its ids with the special tokens around them, and the place that is read."""

    ids: list[int]
    position: int


@attrs.frozen
class Frame:
    """What a classifier asks of its inputs."""

    tokenizer: Any
    mask: str
    """Stands for ``{mask}``: the mask token, or nothing."""
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    max_length: int
    """Longest input in tokens, special tokens counted."""


def special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids that the tokenizer puts before and after a text."""
    bare, full = encode(tokenizer, ["a"])[0], list(tokenizer("a")["input_ids"])
    for start in range(len(full) - len(bare) + 1):
        if bare and full[start : start + len(bare)] == bare:
            return tuple(full[:start]), tuple(full[start + len(bare) :])
    raise ModelError(f"The tokenizer {type(tokenizer).__name__} must keep a text's ids together, but does not.")


class Inputs:
    """Joins the texts of one split with prompts. Texts that are too long are cut on one side, and counted."""

    def __init__(self, frame: Frame, template: Template, texts: Sequence[str], truncate: Truncate) -> None:
        self.frame = frame
        self.template = template
        self.texts = texts
        self.truncate = truncate
        self.rows = make_rows(frame.tokenizer, template, texts)
        self.cut: set[int] = set()
        """Places of the texts that were cut for at least one prompt."""
        self._shorter: dict[tuple[int, int], Row] = {}
        mask = encode(frame.tokenizer, [frame.mask])[0] if frame.mask else []
        self.mask_id = mask[0] if mask else None

    def join(self, prompts: Sequence[str], places: Sequence[int]) -> list[Input]:
        """Return one input for each pair of a prompt and the place of a text."""
        inputs = self._compose(prompts, [self.rows[place] for place in places])
        for i, found in enumerate(inputs):
            if not found.ids:
                raise ModelError(
                    f"The text {self.texts[places[i]]!r} with the prompt {prompts[i]!r} must give the classifier a "
                    "token to read, but gives none. Drop texts without words, or write a word into `task.template`."
                )
            if len(found.ids) > self.frame.max_length:
                self.cut.add(places[i])
                inputs[i] = self._fit(prompts[i], places[i], len(found.ids))
        return inputs

    def _compose(self, prompts: Sequence[str], rows: Sequence[Row]) -> list[Input]:
        ends = [self._ends(prompt, row) for prompt, row in zip(prompts, rows, strict=True)]
        distinct = list({string: None for pair in ends for string in pair if string})
        ids = {"": [], **dict(zip(distinct, encode(self.frame.tokenizer, distinct), strict=True))}
        inputs = []
        for prompt, row, (first, last) in zip(prompts, rows, ends, strict=True):
            start = len(self.frame.prefix)
            tokens = [*self.frame.prefix, *ids[first], *row.body, *ids[last], *self.frame.suffix]
            position = len(tokens) - len(self.frame.suffix) - 1
            if self.mask_id is not None:
                position = start + self._mask_place(prompt, row, ids[first], ids[last])
            inputs.append(Input(tokens, position))
        return inputs

    def _ends(self, prompt: str, row: Row) -> tuple[str, str]:
        before = self.template.before.render(prompt, self.frame.mask) + row.front
        after = row.back + self.template.after.render(prompt, self.frame.mask)
        return (before + after, "") if row.whole else (before, after)

    def _mask_place(self, prompt: str, row: Row, first: list[int], last: list[int]) -> int:
        """Return where the template's own mask stands: texts and prompts may spell masks of theirs before it."""
        spelled = self.template.before.until_mask(prompt, self.frame.mask)
        if spelled is not None:
            return _nth(first, self.mask_id, spelled.count(self.frame.mask))
        spelled = self.template.after.until_mask(prompt, self.frame.mask) or ""
        if row.whole:
            before = self.template.before.render(prompt, self.frame.mask) + row.front
            return _nth(first, self.mask_id, (before + spelled).count(self.frame.mask))
        return len(first) + len(row.body) + _nth(last, self.mask_id, (row.back + spelled).count(self.frame.mask))

    def _fit(self, prompt: str, place: int, length: int) -> Input:
        """Return the input with as much of the text as fits beside prompt, mask and template."""
        limit = self.frame.max_length
        keep = len(encode(self.frame.tokenizer, [self.texts[place]])[0]) - (length - limit)
        while True:
            found = self._compose([prompt], [self._short(place, max(keep, 0))])[0]
            if len(found.ids) <= limit:
                return found
            if keep <= 0:
                raise ModelError(
                    f"The prompt {prompt!r} must leave room for a text, but takes {len(found.ids)} of the classifier's "
                    f"{limit} tokens by itself. Use shorter prompts or a classifier that reads longer texts."
                )
            keep -= max(1, len(found.ids) - limit)

    def _short(self, place: int, keep: int) -> Row:
        if (place, keep) not in self._shorter:
            text = shorten(self.frame.tokenizer, self.texts[place], keep, self.truncate)
            self._shorter[place, keep] = make_rows(self.frame.tokenizer, self.template, [text])[0]
        return self._shorter[place, keep]


def shorten(tokenizer: Any, text: str, keep: int, side: Truncate) -> str:
    """Return ``text`` with all but ``keep`` tokens cut off on ``side``, at a character boundary."""
    if keep <= 0:
        return ""
    if not tokenizer.is_fast:
        raise ModelError(
            f"The tokenizer {type(tokenizer).__name__} must tell where its tokens stand in a text, to cut one that is "
            "too long, but cannot. Shorten the texts, or choose a classifier with a fast tokenizer."
        )
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    return str(text[found[-keep][0] :] if side == "left" else text[: found[keep - 1][1]])


def _nth(ids: list[int], wanted: int | None, n: int) -> int:
    places = [i for i, token in enumerate(ids) if token == wanted]
    if len(places) <= n:
        raise ModelError("The tokenizer must keep the mask token whole, but does not. Choose another classifier.")
    return places[n]
