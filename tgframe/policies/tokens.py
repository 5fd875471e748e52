"""Between texts and padded ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import torch
from torch import Tensor

from tgframe.errors import ModelError


@attrs.frozen
class SpecialTokens:
    """The special ids of a model."""

    start: int
    """Stands before every prompt; in an encoder-decoder model, at the start of what the decoder reads."""
    end: int | None
    """Ends a completion; None where the tokenizer has no end token."""
    pad: int
    """Fills rows; never read."""

    @classmethod
    def of(cls, tokenizer: Any, name: str) -> SpecialTokens:
        """Read those of a decoder-only model from its tokenizer.

        Raises :class:`~tgframe.errors.ModelError` when nothing can start a text.
        """
        end = tokenizer.eos_token_id
        start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        if start is None:
            raise ModelError(f"The tokenizer of {name!r} has neither a bos nor an eos token. Give it one and save it.")
        pad = tokenizer.pad_token_id
        return cls(start=start, end=end, pad=pad if pad is not None else end if end is not None else 0)


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each text, without special tokens."""
    if not texts:
        return []
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


def tokenize_sources(tokenizer: Any, texts: Sequence[str], max_tokens: int | None) -> list[list[int]]:
    """Return the ids of each text, with the special tokens that the tokenizer puts around it.

    What is longer than ``max_tokens``, these included, loses the end of the text, and never one of these.
    """
    if not texts:
        return []
    found = tokenizer(list(texts), return_special_tokens_mask=True, verbose=False)
    rows = zip(found["input_ids"], found["special_tokens_mask"], strict=True)
    return [_cut(list(ids), special, max_tokens) for ids, special in rows]


def _cut(ids: list[int], special: Sequence[int], max_tokens: int | None) -> list[int]:
    text = [place for place, added in enumerate(special) if not added]
    surplus = 0 if max_tokens is None else min(max(0, len(ids) - max_tokens), len(text))
    lost = set(text[len(text) - surplus :])
    return [token for place, token in enumerate(ids) if place not in lost]


def tokenize_targets(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the ids of each text as the tokenizer cuts up what a decoder writes, without special tokens."""
    if not texts:
        return []
    found = tokenizer(text_target=list(texts), add_special_tokens=False, verbose=False)
    return [list(ids) for ids in found["input_ids"]]


def padded(rows: Sequence[Sequence[int]], pad: int, side: Literal["left", "right"]) -> tuple[Tensor, Tensor]:
    """Return int64 tokens and bool mask ``[N,L]`` of rows of ids, filled up with ``pad`` on one side."""
    width = max(map(len, rows), default=0)
    tokens = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for number, row in enumerate(rows):
        place = slice(width - len(row), width) if side == "left" else slice(len(row))
        tokens[number, place] = torch.tensor(row, dtype=torch.long)
        mask[number, place] = True
    return tokens, mask


def texts_of(tokenizer: Any, tokens: Tensor, mask: Tensor) -> tuple[tuple[str, ...], ...]:
    """Return the decoded real tokens of ``[B,K,T]`` completions, special tokens left out."""
    _, k, _ = tokens.shape
    lengths = mask.sum(-1).flatten().tolist()
    rows = [row[:length] for row, length in zip(tokens.flatten(0, 1).tolist(), lengths, strict=True)]
    texts = tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return tuple(tuple(texts[first : first + k]) for first in range(0, len(texts), k))
