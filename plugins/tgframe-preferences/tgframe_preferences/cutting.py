"""Prompts that are too long lose their beginning: what a reply answers stands at the end."""

from __future__ import annotations

from typing import Any


def shortened(text: str, tokenizer: Any, limit: int | None) -> str:
    """Return the end of ``text`` that has at most ``limit`` tokens; all of it where it is short enough, or limit None.

    What is left is cut from the text as it was written, so that it reads the same. A cut may change how the first word
    is tokenised; where that makes more tokens of it, more is cut.
    """
    if limit is None:
        return text
    while (extra := len(_ids(text, tokenizer)) - limit) > 0:
        text = _without(text, extra, tokenizer)
    return text


def _ids(text: str, tokenizer: Any) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return ids


def _without(text: str, extra: int, tokenizer: Any) -> str:
    """Return ``text`` without its first ``extra`` tokens, and shorter by one character at least."""
    if tokenizer.is_fast:
        places = tokenizer(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)["offset_mapping"]
        return text[max(1, places[extra][0] if extra < len(places) else len(text)) :]
    rest: str = tokenizer.decode(_ids(text, tokenizer)[extra:], clean_up_tokenization_spaces=False)
    return rest if len(rest) < len(text) else text[1:]
