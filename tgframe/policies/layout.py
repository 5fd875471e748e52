"""What a model reads, the same in sampling, scoring and guidance.

A decoder-only model reads ``[start] prompt prefix completion``. The start token is the tokenizer's bos token, or its
eos token where it has none. It stands before *every* prompt, so that an empty prompt is nothing special, and is never
part of ``prompts.tokens``. Padding is on the left, before it.

Of an encoder-decoder model the encoder reads the prompt, padded on the right, so that every prompt starts at the first
position; the decoder reads ``[start] prefix completion``, and its start may be several tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tgframe.errors import ComponentError, ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.runtime.decoding import Prefill, positions_of


def prefill(prompts: Prompts, prefix: tuple[int, ...], start: int, device: torch.device) -> Prefill:
    """Return ``[start] prompt prefix`` of ``B`` prompts, ``[B,S+1+P]``, on ``device``."""
    _refuse_right_padding(prompts)
    batch, width = prompts.tokens.shape
    first = width - prompts.mask.sum(-1, keepdim=True)  # where the start token goes: right before the prompt
    tokens = torch.nn.functional.pad(prompts.tokens, (1, 0)).scatter(1, first, start)
    after = prompts.tokens.new_tensor(prefix).expand(batch, -1)
    tokens = torch.cat([tokens, after], -1).to(device)
    if prompts.mask.all():
        return Prefill(tokens)
    mask = torch.nn.functional.pad(prompts.mask, (1, 0)).scatter(1, first, True)
    return Prefill(tokens, torch.nn.functional.pad(mask, (0, len(prefix)), value=True).to(device))


def source(prompts: Prompts, end: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return int64 tokens and bool mask ``[B,S]`` of prompts, padded on the right, as wide as the longest.

    A prompt without any token is read as ``end`` alone: attention needs something to look at.
    """
    _refuse_right_padding(prompts)
    empty = ~prompts.mask.any(-1, keepdim=True)
    tokens = torch.cat([prompts.tokens, torch.full_like(empty, end, dtype=torch.int64)], -1)
    mask = torch.cat([prompts.mask, empty], -1)
    order = (~mask).long().argsort(dim=-1, stable=True)[:, : int(mask.sum(-1).max()) if len(prompts) else 0]
    return tokens.gather(-1, order).to(device), mask.gather(-1, order).to(device)


def written(batch: int, start: tuple[int, ...], device: torch.device) -> Prefill:
    """Return the same ``start`` int64 ``[B,C]`` for each of ``batch`` prompts: what a decoder reads at first."""
    return Prefill(torch.tensor(start, dtype=torch.int64, device=device).repeat(batch, 1))


def _refuse_right_padding(prompts: Prompts) -> None:
    if (prompts.mask[:, :-1] & ~prompts.mask[:, 1:]).any():
        raise ComponentError("`prompts` must be padded on the left, but have padding after a real token instead.")


def sequence(start: Prefill, rollouts: Rollouts) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return tokens, mask and positions ``[BK,C+T-1]`` of prefills and completions, without the last token.

    The state at position ``C-1+t`` is the one *before* completion token ``t``. Padding behind a completion needs no
    mask: nothing that counts comes after it.
    """
    tokens = rollouts.tokens.flatten(0, 1)[:, :-1].to(start.tokens.device)
    rows = start.repeat(rollouts.k)
    joined = torch.cat([rows.tokens, tokens], -1)
    if rows.mask is None:
        return joined, None, None
    mask = torch.nn.functional.pad(rows.mask, (0, tokens.shape[-1]), value=True)
    return joined, mask, positions_of(mask)


def check_length(prompts: Prompts, prefix: tuple[int, ...], new_tokens: int, positions: int | None, name: str) -> None:
    """Raise :class:`~tgframe.errors.ModelError` when a completion could outgrow the model's ``positions``.

    The start token takes a position; the last new token takes none, because nothing reads it.
    """
    if positions is None or not len(prompts):
        return
    longest = int(prompts.mask.sum(-1).max())
    needed = longest + len(prefix) + new_tokens
    if needed > positions:
        raise ModelError(
            f"A prompt of {longest} tokens, a prefix of {len(prefix)} and {new_tokens} new tokens need {needed} "
            f"positions, but {name!r} has {positions}. "
            "Shorten the prompts, lower `max_new_tokens`, or use a model with more positions."
        )


def check_lengths(
    prompts: Prompts, before: int, new_tokens: int, positions: tuple[int | None, int | None], name: str
) -> None:
    """Raise :class:`~tgframe.errors.ModelError` when a prompt is longer than the encoder's positions, or a completion
    could outgrow the decoder's. ``before`` tokens stand before it; the last new token takes no position."""
    longest = int(prompts.mask.sum(-1).max()) if len(prompts) else 0
    if positions[0] is not None and longest > positions[0]:
        raise ModelError(
            f"A prompt of {longest} tokens needs as many positions, but the encoder of {name!r} has {positions[0]}. "
            "Shorten the prompts, or use a model with more positions."
        )
    needed = before + new_tokens - 1
    if positions[1] is not None and needed > positions[1]:
        raise ModelError(
            f"{before} tokens to start with and {new_tokens} new tokens need {needed} positions, but the decoder of "
            f"{name!r} has {positions[1]}. Lower `max_new_tokens`, or use a model with more positions."
        )
