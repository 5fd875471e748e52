"""Batches of similar lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Yield places in ``lengths``, shortest first, in batches of at most ``tokens`` tokens, padding counted.

    A single input that is longer than that is a batch of its own.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor | None]:
    """Return int64 ids ``[M,L]``, padded on the right, and their int64 mask; None where nothing was padded."""
    longest = max(map(len, rows))
    shortest = min(map(len, rows))
    ids = torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in rows])
    if longest == shortest:
        return ids, None
    return ids, (torch.arange(longest) < torch.tensor([[len(row)] for row in rows])).long()
