"""How encoder-decoder models read: the prompt in the encoder, once for all completions, the rest in the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from tgframe.errors import ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.policies.head import check_logits, speaker
from tgframe.policies.layout import check_lengths, sequence, source, written
from tgframe.policies.reader import Reader, Run, last_states
from tgframe.policies.start import Start
from tgframe.policies.tokens import tokenize_sources, tokenize_targets
from tgframe.runtime.decoding import Past, Prefill


@attrs.define(eq=False)
class Source:
    """Prompts as the decoder sees them: what the encoder made of them, and the decoder's cache where it writes."""

    states: Tensor
    """float ``[N,S,D]``, of ``N = B`` prompts or ``N = BK`` rows."""
    mask: Tensor
    """bool ``[N,S]``, True on real tokens."""
    cache: Any = None
    """None in scoring."""

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row in place."""
        self.states = self.states.repeat_interleave(repeats, 0)
        self.mask = self.mask.repeat_interleave(repeats, 0)
        if self.cache is not None:
            self.cache.batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows ``indices`` int64 ``[n]`` alone, in place."""
        self.states, self.mask = self.states[indices], self.mask[indices]
        if self.cache is not None:
            self.cache.batch_select_indices(indices)


class EncoderDecoder(Reader):
    """Reads the prompt in the encoder, and ``[start] prefix completion`` in the decoder.

    Prompts hold the special tokens that the tokenizer puts around a source. The decoder's start is the model's
    ``decoder_start_token_id``, and its ``forced_bos_token_id`` where it has one.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, compiled: bool) -> None:
        super().__init__(tokenizer, name, compiled)
        encoder, decoder = model.get_encoder(), _decoder(model)
        self.check_tokenizer(min(part.get_input_embeddings().num_embeddings for part in (encoder, decoder)))
        self._start = Start.of(model, tokenizer, name)
        self.special = self._start.special
        self.hidden_size = int(decoder.config.hidden_size)
        self._positions = _positions(encoder, "encoder"), _positions(decoder, "decoder")
        _check(model, name)

    def sources(self, texts: Sequence[str], max_tokens: int | None) -> list[list[int]]:
        """Return the ids of prompt texts, with the special tokens of a source; these count, and are never cut."""
        return tokenize_sources(self.tokenizer, texts, max_tokens)

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of completion texts as the tokenizer cuts up targets, without special tokens."""
        return tokenize_targets(self.tokenizer, texts)

    def check_length(self, prompts: Prompts, prefix: tuple[int, ...], new_tokens: int) -> None:
        """Raise :class:`~tgframe.errors.ModelError` when a prompt or a completion could outgrow the positions."""
        check_lengths(prompts, len(self._start.tokens) + len(prefix), new_tokens, self._positions, self.name)

    def open(self, model: Any, prompts: Prompts, prefix: tuple[int, ...], device: torch.device) -> tuple[Prefill, Past]:
        """Return ``[start] prefix``, and the prompts as the encoder read them, in inference mode."""
        with torch.inference_mode():
            past = read(model, *source(prompts, self._start.end, device))
        config = _decoder(model).config
        past.cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        return self._written(prompts, prefix, device), past

    def states(self, model: Any, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, past: Any) -> Tensor:
        """Return the decoder's last hidden states ``[N,L,D]``; what it reads is never padded on the left."""
        return follow(model, tokens, past, self._scored if past.cache is None else last_states)

    def states_before(self, model: Any, rollouts: Rollouts, prefix: tuple[int, ...], device: torch.device) -> Tensor:
        """Return the state before each completion token, ``[BK,T,D]``. The encoder reads a prompt once."""
        past = read(model, *source(rollouts.prompts, self._start.end, device), self._scored)
        past.batch_repeat_interleave(rollouts.k)
        start = self._written(rollouts.prompts, prefix, device)
        states = self.states(model, *sequence(start, rollouts), past)
        return states[:, start.tokens.shape[-1] - 1 :][:, : rollouts.tokens.shape[-1]]

    def states_of(self, model: Any, tokens: Tensor, mask: Tensor) -> Tensor:
        """Raise :class:`~tgframe.errors.ModelError`: a sequence does not say what of it is the prompt."""
        raise ModelError(
            f"The encoder-decoder model {self.name!r} reads prompt and completion apart, so it has no logits for one "
            "sequence of both. Use `score`, or a decoder-only policy."
        )

    def generation(
        self, prompts: Prompts, prefix: tuple[int, ...], device: torch.device
    ) -> tuple[dict[str, Tensor], int]:
        """Return the inputs of ``generate``, which gives back those of the decoder before what is new."""
        tokens, mask = source(prompts, self._start.end, device)
        start = self._written(prompts, prefix, device).tokens
        return {"input_ids": tokens, "attention_mask": mask, "decoder_input_ids": start}, start.shape[-1]

    def _written(self, prompts: Prompts, prefix: tuple[int, ...], device: torch.device) -> Prefill:
        return written(len(prompts), (*self._start.tokens, *prefix), device)


def read(model: Any, tokens: Tensor, mask: Tensor, run: Run = last_states) -> Source:
    """Return what the encoder makes of prompts int64 and bool ``[B,S]``, padded on the right."""
    states = run(model.get_encoder(), input_ids=tokens, attention_mask=mask)
    if hasattr(model, "enc_to_dec_proj"):  # an EncoderDecoderModel of two widths
        states = model.enc_to_dec_proj(states)
    return Source(states, mask)


def follow(model: Any, tokens: Tensor, past: Source, run: Run = last_states) -> Tensor:
    """Return the decoder's last hidden states ``[N,L,D]`` of int64 ``[N,L]`` tokens."""
    return run(
        _decoder(model),
        input_ids=tokens,
        encoder_hidden_states=past.states,
        encoder_attention_mask=past.mask,
        past_key_values=past.cache,
        use_cache=past.cache is not None,
    )


def _decoder(model: Any) -> Any:
    """Return the decoder without a head."""
    inside = speaker(model)
    return model.get_decoder() if inside is model else inside.base_model


def _positions(stack: Any, side: str) -> int | None:
    config = stack.config
    own = getattr(config, f"max_{side}_position_embeddings", None)  # LED has two numbers
    count = own or getattr(config, "max_position_embeddings", None)
    learned = getattr(getattr(stack, "embeddings", None), "position_embeddings", None)
    unused = getattr(learned, "padding_idx", None)  # RoBERTa counts from behind its padding token
    return count if count is None or unused is None else count - unused - 1


@torch.inference_mode()
def _check(model: Any, name: str) -> None:
    """Raise :class:`~tgframe.errors.ModelError` when ``model`` does more than is known here."""
    tokens = torch.tensor([[0, 1]], device=model.device)
    states = follow(model, tokens, read(model, tokens, torch.ones_like(tokens, dtype=torch.bool)))
    whole = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), decoder_input_ids=tokens)
    check_logits(model, name, states, whole.logits)
