"""Beam search, which ``transformers`` does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from tgframe.interfaces.policy import Limits
from tgframe.runtime.decoding import Vocabulary


def search(
    model: Any,
    inputs: Mapping[str, Tensor],
    read: int,
    k: int,
    beams: int,
    length_penalty: float,
    limits: Limits,
    vocabulary: Vocabulary,
) -> tuple[Tensor, Tensor]:
    """Return the ``k`` best of ``beams`` completions of each prompt: int64 tokens and bool mask ``[BK,T]``, best first.

    ``inputs`` are those of ``generate``; the first ``read`` of the tokens that it returns are not new.
    """
    fixed = limits.min_new_tokens >= limits.max_new_tokens
    barred = vocabulary.banned | ({vocabulary.end} if fixed and vocabulary.end is not None else set())
    settings = GenerationConfig(
        num_beams=beams,
        num_return_sequences=k,
        length_penalty=length_penalty,
        do_sample=False,
        max_new_tokens=limits.max_new_tokens,
        min_new_tokens=None if fixed else limits.min_new_tokens,
        eos_token_id=None if fixed else vocabulary.end,
        pad_token_id=vocabulary.pad,
        suppress_tokens=sorted(barred) or None,
    )
    if "decoder_input_ids" in inputs:
        settings.decoder_start_token_id = int(inputs["decoder_input_ids"][0, 0])
    with torch.no_grad(), _without_its_own_settings(model):
        tokens: Tensor = model.generate(**inputs, generation_config=settings)[:, read:]
    if fixed or vocabulary.end is None:
        return tokens, torch.ones_like(tokens, dtype=torch.bool)
    ended = (tokens == vocabulary.end).long()
    return tokens, ended.cumsum(-1) == ended  # the first end token counts, and nothing behind it


@contextlib.contextmanager
def _without_its_own_settings(model: Any) -> Iterator[None]:
    """Keep out what the model was saved with (repetition penalties, lengths): the recipe says how to search."""
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own
