"""The one token layout of fit and use: ``[start] prompt prefix completion``, as the policy reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tgframe import ModelError, Rollouts


class Sequences(NamedTuple):
    """Inputs of a causal backbone; completions are the last ``T`` positions."""

    tokens: Tensor
    """int64 ``[BK,L]``."""
    mask: Tensor | None
    """bool ``[BK,L]``; None where nothing is padded before a completion. (What is padded after it, no token sees.)"""
    positions: Tensor | None
    """int64 ``[BK,L]``, counting real tokens only; None with the mask."""


def start_token(tokenizer: Any) -> int:
    """Return the id that every sequence starts with: the tokenizer's bos token, else its eos token."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelError(
        "The tokenizer must have a bos or an eos token to start sequences with, but has neither. "
        "Set `tokenizer.bos_token` and save the tokenizer again."
    )


def lay_out(rollouts: Rollouts, start: int, prefix: Sequence[int], see_prompt: bool, device: torch.device) -> Sequences:
    """Return the sequences of ``[B,K]`` completions; off the masks there stands the start token, whatever was there."""
    batch, k, length = rollouts.tokens.shape
    prompts = rollouts.prompts
    seen = prompts.tokens.shape[1] if see_prompt else 0
    head = torch.tensor([start, *prefix], device=device)

    def whole(first: Tensor, prompt: Tensor, then: Tensor, completion: Tensor) -> Tensor:
        parts = (
            first.expand(batch, k, -1),
            prompt[:, None, :seen].expand(-1, k, -1),
            then.expand(batch, k, -1),
            completion,
        )
        return torch.cat([part.to(device) for part in parts], -1).reshape(batch * k, 1 + seen + len(prefix) + length)

    real = torch.ones(1, dtype=torch.bool, device=device)
    mask = whole(real, prompts.mask, real.expand(len(prefix)), rollouts.mask)
    tokens = whole(head[:1], prompts.tokens, head[1:], rollouts.tokens).masked_fill(~mask, start)
    if not seen or bool(prompts.mask.all()):
        return Sequences(tokens, None, None)
    return Sequences(tokens, mask, (mask.cumsum(-1) - 1).clamp(min=0))
