"""Log-probabilities and entropies of given tokens from hidden states, without ever holding ``[N,V]`` at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK_ELEMENTS = 2**24
"""Most logits held at a time: 64 MiB in float32, a few such blocks while a chunk is computed."""

Head = Callable[[Tensor], Tensor]
"""Hidden states ``[N,D]`` to logits ``[N,V]``."""


def score_tokens(
    head: Head, states: Tensor, tokens: Tensor, vocabulary: int, entropy: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the log-probability float32 ``[N]`` (nats) of each token, and the entropies ``[N]`` where wanted.

    ``states`` float ``[N,D]`` stand before ``tokens`` int64 ``[N]``. Softmax in float32. With gradient and more than
    one chunk, each chunk's logits are computed again in the backward pass instead of being kept.
    """
    size = max(1, CHUNK_ELEMENTS // vocabulary)
    chunks = list(zip(torch.split(states, size), torch.split(tokens, size), strict=True))
    again = len(chunks) > 1 and torch.is_grad_enabled()
    parts = [
        checkpoint(_score, head, *chunk, entropy, use_reentrant=False, preserve_rng_state=False)
        if again
        else _score(head, *chunk, entropy)
        for chunk in chunks
    ]
    logprobs = torch.cat([part[0] for part in parts])
    return logprobs, torch.cat([part[1] for part in parts]) if entropy else None


def _score(head: Head, states: Tensor, tokens: Tensor, entropy: bool) -> tuple[Tensor, Tensor]:
    logprobs = head(states).float().log_softmax(-1)
    of_tokens = logprobs.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return of_tokens, -(logprobs.exp() * logprobs).sum(-1) if entropy else of_tokens


def at_mask(values: Tensor, positions: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return float ``shape`` with ``values [M]`` at the flat ``positions`` int64 ``[M]``, and 0 elsewhere."""
    size = int(torch.Size(shape).numel())
    return values.new_zeros(size).index_copy(0, positions, values).reshape(shape)
