"""What a decoder-only model reads: ``[start] prompt prefix completion``, the same in sampling, scoring and guidance.

The start token is the tokenizer's bos token, or its eos token where it has none. It stands before *every* prompt, so
that an empty prompt is nothing special, and is never part of ``prompts.tokens``. Padding is on the left, before it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tgframe.errors import ComponentError, ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.runtime.decoding import Prefill, positions_of


def prefill(prompts: Prompts, prefix: tuple[int, ...], start: int, device: torch.device) -> Prefill:
    """Return ``[start] prompt prefix`` of ``B`` prompts, ``[B,S+1+P]``, on ``device``."""
    if (prompts.mask[:, :-1] & ~prompts.mask[:, 1:]).any():
        raise ComponentError("`prompts` must be padded on the left, but have padding after a real token instead.")
    batch, width = prompts.tokens.shape
    first = width - prompts.mask.sum(-1, keepdim=True)  # where the start token goes: right before the prompt
    tokens = torch.nn.functional.pad(prompts.tokens, (1, 0)).scatter(1, first, start)
    after = prompts.tokens.new_tensor(prefix).expand(batch, -1)
    tokens = torch.cat([tokens, after], -1).to(device)
    if prompts.mask.all():
        return Prefill(tokens)
    mask = torch.nn.functional.pad(prompts.mask, (1, 0)).scatter(1, first, True)
    return Prefill(tokens, torch.nn.functional.pad(mask, (0, len(prefix)), value=True).to(device))


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
