"""Prompts and rollouts from plain texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tgframe.interfaces.batch import Prompts, Rollouts

END_ID = 256
"""The end token: ids below it are bytes, as in :func:`~tgframe.testing.make_tokenizer`."""


def make_prompts(
    texts: Sequence[str],
    *,
    targets: Sequence[Sequence[str]] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
    split: str = "train",
) -> Prompts:
    """Return ``B`` prompts, one token a byte, padded on the left; ``targets`` holds one or more texts a prompt."""

    def make(supervised: Rollouts | None) -> Prompts:
        tokens, mask = pad([list(text.encode()) for text in texts], left=True)
        ids = tuple(f"prompt-{row}" for row in range(len(texts)))
        return Prompts(ids, tuple(texts), tokens, mask, split, dict(columns or {}), supervised)

    return make(None if targets is None else make_rollouts(targets, make(None)))


def make_rollouts(
    texts: Sequence[Sequence[str]],
    prompts: Prompts | Sequence[str] | None = None,
    *,
    columns: Mapping[str, Sequence[Sequence[Any]]] | None = None,
) -> Rollouts:
    """Return ``B`` groups of ``K`` completions, one token a byte and an end token, padded on the right.

    Prompts are made up where none are given. Log-probabilities are those of a uniform draw.
    """
    if not isinstance(prompts, Prompts):
        prompts = make_prompts(prompts or [f"Prompt {row}." for row in range(len(texts))])
    flat = [[*text.encode(), END_ID] for group in texts for text in group]
    tokens, mask = (part.reshape(len(texts), -1, part.shape[-1]) for part in pad(flat))
    logprobs = torch.full(tokens.shape, -float(torch.tensor(END_ID + 1.0).log())).masked_fill(~mask, 0.0)
    return Rollouts(prompts, tokens, mask, tuple(map(tuple, texts)), dict(columns or {}), logprobs)


def pad(rows: Sequence[Sequence[int]], left: bool = False, fill: int = END_ID) -> tuple[Tensor, Tensor]:
    """Return int64 tokens and bool mask ``[N,L]``, padded with ``fill``."""
    width = max(map(len, rows), default=0)
    tokens = torch.full((len(rows), width), fill)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for n, row in enumerate(rows):
        place = slice(width - len(row), width) if left else slice(0, len(row))
        tokens[n, place] = torch.tensor(row, dtype=torch.int64)
        mask[n, place] = True
    return tokens, mask
