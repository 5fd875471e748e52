"""The decoding loop: one prompt pass a prompt, then one token a step for all rows, with a key-value cache.

It feeds ids: no text, no tokenizer, no Python per row. The rows are ``N = BK``, completions of one prompt side by side.
Whether the model reads the prompt before the completion or in an encoder of its own is a matter of its :class:`Past`.
"""

from __future__ import annotations

from typing import Any, Protocol

import attrs
import torch
from torch import Tensor

from tgframe.errors import ModelError
from tgframe.interfaces.policy import Draw, Limits

_ASK_EVERY = 8
"""Steps between two questions "are all rows finished?" on a GPU, where each question waits for the device."""


@attrs.frozen(eq=False)
class Prefill:
    """What the model reads before it writes, padded on the left: ``[start] prompt prefix``, or in the decoder of an
    encoder-decoder model ``[start] prefix``."""

    tokens: Tensor
    """int64 ``[B,C]``, ``C >= 1``."""
    mask: Tensor | None = None
    """bool ``[B,C]``, True on real tokens; None where nothing is padded, which spares the model its masks."""

    @property
    def positions(self) -> Tensor | None:
        """int64 ``[B,C]``: each real token's place in its row; None where nothing is padded."""
        return None if self.mask is None else positions_of(self.mask)

    def repeat(self, k: int) -> Prefill:
        """Return every row ``k`` times, ``[BK,C]``."""
        mask = None if self.mask is None else self.mask.repeat_interleave(k, 0)
        return Prefill(self.tokens.repeat_interleave(k, 0), mask)


def positions_of(mask: Tensor) -> Tensor:
    """Return int64 ``[N,L]``: each real token's place among the real tokens of its row; 0 on padding before them."""
    return (mask.long().cumsum(-1) - 1).clamp_min(0)


class Past(Protocol):
    """What the model remembers of what it has read: a ``transformers`` cache, and the source of an encoder-decoder."""

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row in place."""

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows ``indices`` int64 ``[n]`` alone, in place."""


class Forward(Protocol):
    """One pass of the model."""

    def __call__(self, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, past: Any) -> Tensor:
        """Return fresh float32 ``[N,V]`` logits after the last of ``tokens`` int64 ``[N,L]``, and grow the past.

        ``mask`` bool ``[N,past+L]`` and ``positions`` int64 ``[N,L]`` are None where nothing is padded.
        """


@attrs.frozen
class Vocabulary:
    """The ids that the loop treats specially."""

    size: int
    """Width of the logits."""
    end: int | None
    """Ends a completion; None: nothing does."""
    pad: int
    """Stands behind the end."""
    banned: frozenset[int] = frozenset()
    """Never written."""


@attrs.frozen(eq=False)
class Drawn:
    """What the loop wrote, cut at the longest completion."""

    tokens: Tensor
    """int64 ``[BK,T]``."""
    mask: Tensor
    """bool ``[BK,T]``, True up to the end token and on it."""
    logprobs: Tensor
    """float32 ``[BK,T]``, as the draw gave them; 0 off the mask."""


def decode(
    forward: Forward,
    past: Past,
    prefill: Prefill,
    k: int,
    draw: Draw,
    limits: Limits,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    thins: bool = True,
) -> Drawn:
    """Write ``k`` completions for each of ``B`` prefills, on a past of as many rows, in inference mode.

    When at most half of the rows that are fed go on, only these are, where ``thins``: to leave rows out takes a copy of
    the past.
    """
    fixed = limits.min_new_tokens >= limits.max_new_tokens
    never, early = _barred(vocabulary, fixed, prefill.tokens.device)
    with torch.inference_mode():
        logits = forward(prefill.tokens, prefill.mask, prefill.positions, past)
        if k > 1:
            past.batch_repeat_interleave(k)
            logits = logits.repeat_interleave(k, 0)
        rows = _Rows(prefill.repeat(k), limits.max_new_tokens, vocabulary, ends=not fixed)
        for step in range(limits.max_new_tokens):
            bar = early if step < limits.min_new_tokens else never
            if bar.numel():
                logits.index_fill_(1, bar, -torch.inf)
            tokens = rows.add(*draw(logits, generator))
            left = rows.left()
            if step + 1 == limits.max_new_tokens or not left:
                break
            if thins and 2 * left <= len(tokens):
                kept = rows.thin()
                past.batch_select_indices(kept)
                tokens = tokens[kept]
            logits = forward(tokens.unsqueeze(-1), rows.mask(), rows.positions(), past)
        length = rows.longest()
    # Clones made outside inference mode may take part in autograd.
    return Drawn(*(part[:, :length].clone() for part in (rows.tokens, rows.real, rows.logprobs)))


def _barred(vocabulary: Vocabulary, fixed: bool, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the ids that are barred always, and those barred while the completion is too short to end."""
    end = set() if vocabulary.end is None else {vocabulary.end}
    early = vocabulary.banned | end
    never = early if fixed else vocabulary.banned
    if len(early) >= vocabulary.size:
        raise ModelError(
            f"At least one token must be left to write, but all {vocabulary.size} are banned. Ban fewer tokens."
        )
    return tuple(torch.tensor(sorted(ids), dtype=torch.long, device=device) for ids in (never, early))  # type: ignore[return-value]


class _Rows:
    """The completions as they grow. Those that are fed become fewer when others have ended."""

    def __init__(self, prefill: Prefill, length: int, vocabulary: Vocabulary, ends: bool) -> None:
        rows, self._width = prefill.tokens.shape
        device = prefill.tokens.device
        self._end = vocabulary.end if ends else None
        self._pad = vocabulary.pad
        self._count = 0
        self.tokens = torch.full((rows, length), vocabulary.pad, dtype=torch.long, device=device)
        self.real = torch.zeros((rows, length), dtype=torch.bool, device=device)
        self.logprobs = torch.zeros((rows, length), device=device)
        self._fed: Tensor | slice = slice(None)  # which rows; what follows is of these
        self._finished = torch.zeros(rows, dtype=torch.bool, device=device)
        self._mask: Tensor | None = None
        if prefill.mask is not None:
            written = torch.ones((rows, length), dtype=torch.bool, device=device)
            self._mask = torch.cat([prefill.mask, written], -1)
            self._length = prefill.mask.sum(-1, keepdim=True)

    def add(self, tokens: Tensor, logprobs: Tensor) -> Tensor:
        """Take one drawn token for each row that is fed; return what is fed next: padding for rows that have ended."""
        step, self._count = self._count, self._count + 1
        if self._end is None:
            self.real[:, step] = True
        else:
            self.real[self._fed, step] = ~self._finished
            tokens = tokens.masked_fill(self._finished, self._pad)
            logprobs = logprobs.masked_fill(self._finished, 0.0)
            self._finished = self._finished | (tokens == self._end)
        self.tokens[self._fed, step] = tokens
        self.logprobs[self._fed, step] = logprobs
        return tokens

    def mask(self) -> Tensor | None:
        """bool ``[n,C+t]`` of everything read and written so far; None where nothing is padded."""
        return None if self._mask is None else self._mask[:, : self._width + self._count]

    def positions(self) -> Tensor | None:
        """int64 ``[n,1]`` of the last token written; None where nothing is padded."""
        return None if self._mask is None else self._length + (self._count - 1)

    def left(self) -> int:
        """Return how many of the rows that are fed go on; all, where it would take too long to ask."""
        if self._end is None or (self._finished.is_cuda and self._count % _ASK_EVERY):
            return len(self._finished)
        return int((~self._finished).sum())

    def thin(self) -> Tensor:
        """Feed no row any more that has ended; return which of those that were fed still are, int64 ``[n]``."""
        kept = (~self._finished).nonzero().squeeze(-1)
        self._fed = kept if isinstance(self._fed, slice) else self._fed[kept]
        self._finished = self._finished[kept]
        if self._mask is not None:
            self._mask, self._length = self._mask[kept], self._length[kept]
        return kept

    def longest(self) -> int:
        return self._count if self._end is None else int(self.real.sum(-1).max())
