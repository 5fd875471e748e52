"""Encoder-decoder backbones: the encoder reads the prompt, the decoder ``[start] prefix completion``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tgframe import ModelError, Prompts, Rollouts
from tgframe_tlg.guidance.layout import Layout, check_length


class EncoderDecoder(Layout):
    """The encoder reads each prompt once, whatever the number of its completions; they share what it says.

    Prompts come with the special tokens of their source, as the policy encodes them. They are moved to the left edge,
    because absolute positions count from there.
    """

    def __init__(self, network: PreTrainedModel, tokenizer: Any, name: str, see_prompt: bool) -> None:
        if not see_prompt:
            raise ModelError(
                f"`guidance.see_prompt` must be true where `guidance.model` is an encoder-decoder as {name!r} is, "
                "because the encoder has nothing else to read. Leave it out, or choose a decoder-only model."
            )
        self.network = network
        self.name = name
        self.start = decoder_start(network, tokenizer, name)
        self.end = self.start[0] if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)
        self.pad = self.end if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
        self.encoder, self.decoder, self.projection = readers(network)

    @property
    def hidden_size(self) -> int:
        return int(self.decoder.config.hidden_size)

    def states(self, rollouts: Rollouts, prefix: Sequence[int], chunk: int) -> Iterator[Tensor]:
        source, seen = self._source(rollouts.prompts)
        target = self._target(rollouts, prefix)
        k, width = target.shape[1:]
        length = rollouts.tokens.shape[2]
        check_length("Prompts", source.shape[1], self.encoder, self.name)
        check_length("Completions", width, self.decoder, self.name)
        together = (torch.split(part, max(1, chunk // k)) for part in (source, seen, target))
        for tokens, mask, group in zip(*together, strict=True):
            memory = self._encoded(tokens, mask)
            for part in torch.split(group, min(k, chunk), dim=1):
                yield self._decoded(part, memory, mask)[:, width - length :]

    def probe(self, tokens: Tensor) -> Tensor:
        source = tokens.new_tensor([[self.start[0]]])
        seen = torch.ones_like(source, dtype=torch.bool)
        return self._decoded(tokens.unsqueeze(0), self._encoded(source, seen), seen)

    def _source(self, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Return the prompts ``[B,S]`` and their mask, padded on the right; an empty one is an end token alone."""
        empty = ~prompts.mask.any(-1, keepdim=True)  # attention needs something to look at
        mask = torch.cat([prompts.mask, empty], -1)
        tokens = torch.cat([prompts.tokens, prompts.tokens.new_full(empty.shape, self.end)], -1)
        order = (~mask).long().argsort(dim=-1, stable=True)[:, : int(mask.sum(-1).max())]
        mask = mask.gather(-1, order)
        tokens = tokens.gather(-1, order).masked_fill(~mask, self.pad)
        return tokens.to(self.network.device), mask.to(self.network.device)

    def _target(self, rollouts: Rollouts, prefix: Sequence[int]) -> Tensor:
        """Return what the decoder reads, ``[B,K,L]``; behind a completion there is padding, which no token sees."""
        tokens = rollouts.tokens.masked_fill(~rollouts.mask, self.pad).to(self.network.device)
        before = tokens.new_tensor([*self.start, *prefix]).expand(*tokens.shape[:2], -1)
        return torch.cat([before, tokens], -1)

    def _encoded(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return what the encoder says of ``[B,S]`` tokens, as wide as the decoder wants it: ``[B,S,D]``."""
        memory: Tensor = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        return memory if self.projection is None else self.projection(memory)

    def _decoded(self, tokens: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return states ``[BJ,L,D]`` of ``[B,J,L]`` tokens."""
        flat = tokens.flatten(0, 1)
        states: Tensor = self.decoder(
            input_ids=flat,
            attention_mask=torch.ones_like(flat, dtype=torch.bool),
            encoder_hidden_states=memory.repeat_interleave(tokens.shape[1], 0),
            encoder_attention_mask=mask.repeat_interleave(tokens.shape[1], 0),
            use_cache=False,
        ).last_hidden_state
        return states


def readers(network: PreTrainedModel) -> tuple[Any, Any, Any]:
    """Return the encoder, the decoder without an output head, and the projection between them or None."""
    decoder: Any = network.get_decoder()
    return network.get_encoder(), decoder.base_model, getattr(network, "enc_to_dec_proj", None)


def freeze_unread(network: PreTrainedModel) -> None:
    """Exempt from the fit what no value depends on: the output head, where its parameters are its own."""
    read = {id(parameter) for part in readers(network) if part is not None for parameter in part.parameters()}
    for parameter in network.parameters():
        if id(parameter) not in read:
            parameter.requires_grad_(False)


def decoder_start(network: PreTrainedModel, tokenizer: Any, name: str) -> tuple[int, ...]:
    """Return what the decoder reads before anything is written: its start token, and the one that generation forces.

    They are looked up as an encoder-decoder policy does: in the model's configurations, else in the tokenizer. Raises
    :class:`~tgframe.ModelError` when none of them says how to start.
    """
    own = (network.generation_config, network.config)
    start = _known((*own, tokenizer), "decoder_start_token_id", "bos_token_id", "cls_token_id")
    if start is None:
        raise ModelError(
            f"`guidance.model` {name!r} must say with which token a completion starts, but neither it nor its "
            "tokenizer does. Set `generation_config.decoder_start_token_id`, and save the model again."
        )
    forced = _known(own, "forced_bos_token_id")
    return (start,) if forced is None else (start, forced)


def _known(places: Sequence[Any], *names: str) -> int | None:
    """Return the first id that one of ``places`` has under one of ``names``; the first name counts most."""
    found = (getattr(place, name, None) for name in names for place in places)
    ids = (ids[0] if isinstance(ids, list) else ids for ids in found)
    return next((int(token) for token in ids if token is not None), None)
