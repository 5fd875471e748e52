"""Sources that are too long lose their end; what the task writes around them never does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tgframe import DataError


def shortened(source: str, tokenizer: Any, limit: int, length: Callable[[str], int]) -> str:
    """Return the beginning of ``source`` whose prompt has at most ``limit`` tokens, all of it where it is short enough.

    ``length`` says how many tokens the prompt of a source has. What is left is cut from the text as it was written.
    Raises :class:`~tgframe.DataError` where the prompt of an empty source is too long.
    """
    while (extra := length(source) - limit) > 0:
        if not source:
            raise DataError(
                f"`task.max_source_tokens` must leave room for the {limit + extra} tokens of prefix and suffix, but "
                f"is {limit} instead. Raise it, or shorten them."
            )
        source = _without(source, extra, tokenizer)
    return source


def _without(text: str, extra: int, tokenizer: Any) -> str:
    """Return ``text`` without its last ``extra`` tokens, and shorter by one character at least."""
    if tokenizer.is_fast:
        places = tokenizer(text, add_special_tokens=False, verbose=False, return_offsets_mapping=True)["offset_mapping"]
        end = places[-extra][0] if extra < len(places) else 0
        return text[: min(end, len(text) - 1)].rstrip()
    rest: str = tokenizer.decode(
        tokenizer(text, add_special_tokens=False)["input_ids"][:-extra], clean_up_tokenization_spaces=False
    )
    return rest if len(rest) < len(text) else text[:-1]
