"""Adding tokens to a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import AddedToken
from torch import Tensor

from tgframe.policies.head import speaker


@torch.no_grad()
def add_tokens(model: Any, tokenizer: Any, tokens: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of control tokens; those that are new get the mean of all older embeddings, in and out.

    They count as special: decoding leaves them out of texts, and text that happens to spell one is never cut up.
    """
    known = len(tokenizer)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
    added = len(tokenizer) - known
    if added:
        for part in _parts(model):
            # Some models have more rows than their tokenizer has tokens: those rows are taken first.
            if len(tokenizer) > part.get_input_embeddings().num_embeddings:
                part.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        for rows in _rows(model):
            rows[known : known + added] = rows[:known].mean(0)
    return tuple(tokenizer.convert_tokens_to_ids(list(tokens)))


def _parts(model: Any) -> list[Any]:
    """Return the models that have embeddings of their own: an ``EncoderDecoderModel`` is made of two."""
    inside = speaker(model)
    return [model] if inside is model else [model.get_encoder(), inside]


def _rows(model: Any) -> list[Tensor]:
    """Return what has one row a token, each once: input and output embeddings, output biases."""
    inside = speaker(model)
    out = inside.get_output_embeddings()
    final = getattr(inside, "final_logits_bias", None)
    found = [part.get_input_embeddings().weight for part in _parts(model)]
    found += [out.weight, getattr(out, "bias", None), None if final is None else final[0]]
    return list({id(rows): rows for rows in found if rows is not None}.values())
