"""Decoder-only backbones read ``[start] prompt prefix completion``, as a decoder-only policy does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tgframe import ModelError, Rollouts
from tgframe_tlg.guidance.layout import Layout, check_length


class Sequences(NamedTuple):
    """Inputs of the network; completions are the last ``T`` positions."""

    tokens: Tensor
    """int64 ``[BK,L]``."""
    mask: Tensor | None
    """bool ``[BK,L]``; None where nothing is padded before a completion. (What is padded after it, no token sees.)"""
    positions: Tensor | None
    """int64 ``[BK,L]``, counting real tokens only; None with the mask."""


class DecoderOnly(Layout):
    """One sequence for each completion. An encoder-decoder's policy gives it the source, then the completion."""

    def __init__(self, network: PreTrainedModel, tokenizer: Any, name: str, see_prompt: bool) -> None:
        self.network = network
        self.name = name
        self.see_prompt = see_prompt
        self.start = start_token(tokenizer)
        self.takes_positions = "position_ids" in inspect.signature(network.forward).parameters

    @property
    def hidden_size(self) -> int:
        return int(self.network.config.hidden_size)

    def states(self, rollouts: Rollouts, prefix: Sequence[int], chunk: int) -> Iterator[Tensor]:
        sequences = lay_out(rollouts, self.start, prefix, self.see_prompt, self.network.device)
        width, length = sequences.tokens.shape[1], rollouts.tokens.shape[2]
        check_length("Prompt and completion", width, self.network, self.name)
        for piece in _split(sequences, chunk):
            yield self._states(piece)[:, width - length :]

    def probe(self, tokens: Tensor) -> Tensor:
        return self._states(Sequences(tokens, torch.ones_like(tokens, dtype=torch.bool), None))

    def _states(self, sequences: Sequences) -> Tensor:
        inputs: dict[str, Tensor] = {"input_ids": sequences.tokens}
        if sequences.mask is not None:
            inputs["attention_mask"] = sequences.mask
        elif self.network.config.pad_token_id is not None:  # else transformers asks for a mask, in a warning
            inputs["attention_mask"] = torch.ones_like(sequences.tokens, dtype=torch.bool)
        if sequences.positions is not None and self.takes_positions:
            inputs["position_ids"] = sequences.positions
        states: Tensor = self.network(**inputs, use_cache=False).last_hidden_state
        return states


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


def _split(sequences: Sequences, chunk: int) -> Iterator[Sequences]:
    """Yield the sequences in pieces of at most ``chunk``."""
    tokens, mask, positions = sequences
    for at in range(0, len(tokens), chunk):
        yield Sequences(
            tokens[at : at + chunk],
            None if mask is None else mask[at : at + chunk],
            None if positions is None else positions[at : at + chunk],
        )
