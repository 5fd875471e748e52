"""Texts, tokenised once: only the ends of a text can change when something is written beside it.

The ids of a classifier's input must be those of the joined string. Byte-level BPE may merge across the place where text
and prompt meet, so ids of text and prompt are not simply concatenated. But a tokenizer whose pre-tokeniser separates
words at spaces never merges across a space that follows a non-space and precedes a letter. Each text is cut at the last
such space (and at the first, where the template writes something before the text): the body between is tokenised once,
the short ends are tokenised together with what stands beside them. A text is cut only if its parts, one by one, give
exactly the ids of the whole; other texts, and all texts of tokenizers that do not separate words, are tokenised whole
with every prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs

from tgframe_prompts.template import Template

_WORD = re.compile(r"(?<=\S) (?=[^\W\d_])")


@attrs.frozen
class Row:
    """One text: an end that may change, ids that cannot, an end that may change."""

    front: str
    body: tuple[int, ...]
    back: str
    whole: bool = False
    """The text (in ``front``) has no safe place to be cut, although something stands on both its sides."""


def encode(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each text, without the special tokens around it."""
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
    ids: list[list[int]] = found["input_ids"]
    return ids


def separates_words(tokenizer: Any) -> bool:
    """Return whether the tokenizer splits at spaces before it merges."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    pre = getattr(backend, "pre_tokenizer", None)
    return pre is not None and len(pre.pre_tokenize_str("one two")) > 1


def make_rows(tokenizer: Any, template: Template, texts: Sequence[str]) -> list[Row]:
    """Cut and tokenise texts."""
    plans = [_cut(text, template) if separates_words(tokenizer) else (0, 0) for text in texts]
    parts = [(text[:start], text[start:end], text[end:]) for text, (start, end) in zip(texts, plans, strict=True)]
    whole = encode(tokenizer, texts)
    encoded = [encode(tokenizer, [part[i] for part in parts]) for i in range(3)]
    rows = []
    for text, part, ids, front, body, back in zip(texts, parts, whole, *encoded, strict=True):
        safe = any(part[:2]) and front + body + back == ids
        rows.append(Row(part[0], tuple(body), part[2]) if safe else _uncut(text, template))
    return rows


def _uncut(text: str, template: Template) -> Row:
    if template.before and template.after:
        return Row(text, (), "", whole=True)
    return Row("", (), text) if template.after else Row(text, (), "")


def _cut(text: str, template: Template) -> tuple[int, int]:
    """Return where the body starts and ends: the whole text is an end when there is no safe place."""
    places = [match.start() for match in _WORD.finditer(text)]
    if not places:
        return (0, 0)
    return places[0] if template.before else 0, places[-1] if template.after else len(text)
