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
    """The special ids of a decoder-only model."""

    start: int
    """Stands before every prompt."""
    end: int | None
    """Ends a completion; None where the tokenizer has no end token."""
    pad: int
    """Fills rows; never read."""

    @classmethod
    def of(cls, tokenizer: Any, name: str) -> SpecialTokens:
        """Read them from a tokenizer. Raises :class:`~tgframe.errors.ModelError` when nothing can start a text."""
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
