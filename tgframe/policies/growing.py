"""Adding tokens to a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import AddedToken
from torch import Tensor


@torch.no_grad()
def add_tokens(model: Any, tokenizer: Any, tokens: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of control tokens; those that are new get the mean of all older embeddings, in and out.

    They count as special: decoding leaves them out of texts, and text that happens to spell one is never cut up.
    """
    known = len(tokenizer)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
    added = len(tokenizer) - known
    if added:
        # Some models have more rows than their tokenizer has tokens: those rows are taken first.
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        for rows in _rows(model):
            rows[known : known + added] = rows[:known].mean(0)
    return tuple(tokenizer.convert_tokens_to_ids(list(tokens)))


def _rows(model: Any) -> list[Tensor]:
    """Return what has one row a token: input embeddings, output embeddings where they are others, output bias."""
    into, out = model.get_input_embeddings().weight, model.get_output_embeddings()
    bias = getattr(out, "bias", None)
    return [into, *([] if out.weight is into else [out.weight]), *([] if bias is None else [bias])]
