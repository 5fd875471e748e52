"""Which of the policy's tokens a prompt is written in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_PARTIAL = "\ufffd"  # what part of a character decodes to


def decode(tokenizer: Any, tokens: Tensor) -> list[str]:
    """Return the text of each of the int64 ``[N,L]`` prompts as the policy writes it: spaces kept, none special."""
    texts: list[str] = tokenizer.batch_decode(
        tokens.tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return texts


def unwritable(tokenizer: Any) -> frozenset[int]:
    """Return the tokens that no prompt is written in.

    Special tokens have no text. A token that holds a part of a character has no text of its own either: what it decodes
    to depends on its neighbours, and encodes to other tokens. The end token may end a prompt, so it is not among them.
    """
    texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))], clean_up_tokenization_spaces=False)
    special = set(tokenizer.all_special_ids)
    special |= {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    partial = {token for token, text in enumerate(texts) if not text or _PARTIAL in text}
    return frozenset((special | partial) - {tokenizer.eos_token_id})


def writable(tokenizer: Any) -> Tensor:
    """Return int64 ``[V']``: the tokens that prompts are written in, the end token left out."""
    banned = unwritable(tokenizer) | {tokenizer.eos_token_id}
    return torch.tensor([token for token in range(len(tokenizer)) if token not in banned])


def uniform(tokens: Tensor, count: int, length: int, generator: torch.Generator) -> Tensor:
    """Return int64 ``[count,length]``: prompts drawn evenly from ``tokens``."""
    return tokens[torch.randint(len(tokens), (count, length), generator=generator)]
