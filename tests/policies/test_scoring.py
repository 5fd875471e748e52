"""Scoring in chunks is scoring, with the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tgframe.policies import scoring
from tgframe.policies.scoring import at_mask, score_tokens


@pytest.fixture
def states() -> Tensor:
    return torch.randn(23, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()


def loss(head: nn.Module, states: Tensor, tokens: Tensor) -> Tensor:
    logprobs, entropy = score_tokens(head, states, tokens, 11, entropy=True)
    assert entropy is not None
    return (logprobs * torch.arange(23)).sum() + (entropy * entropy).sum()


@pytest.mark.parametrize("budget", [11, 5 * 11, 22 * 11])
def test_chunks_change_nothing(states: Tensor, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    torch.manual_seed(0)
    head, tokens = nn.Linear(8, 11), torch.arange(23) % 11
    whole = loss(head, states, tokens)
    expected = torch.autograd.grad(whole, [states, *head.parameters()])
    monkeypatch.setattr(scoring, "CHUNK_ELEMENTS", budget)
    chunked = loss(head, states, tokens)
    found = torch.autograd.grad(chunked, [states, *head.parameters()])
    torch.testing.assert_close(chunked, whole)
    torch.testing.assert_close(found, expected)


def test_logits_are_held_for_one_chunk_at_a_time(states: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CHUNK_ELEMENTS", 4 * 11)
    rows: list[int] = []

    def head(chunk: Tensor) -> Tensor:
        rows.append(len(chunk))
        return chunk @ torch.ones(8, 11)

    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        score_tokens(head, states, torch.zeros(23, dtype=torch.long), 11, entropy=True)
    assert max(rows) == 4
    assert all(tensor.shape[-1:] != (11,) for tensor in kept), "a chunk's logits are kept for the backward pass"


def test_low_precision_states_get_a_float32_softmax() -> None:
    states, tokens = torch.randn(4, 8), torch.arange(4)
    head = nn.Linear(8, 11).to(torch.bfloat16)
    logprobs, entropy = score_tokens(head, states.to(torch.bfloat16), tokens, 11, entropy=True)
    assert entropy is not None
    assert logprobs.dtype == entropy.dtype == torch.float32


def test_nothing_to_score() -> None:
    logprobs, entropy = score_tokens(nn.Linear(8, 11), torch.zeros(0, 8), torch.zeros(0, dtype=torch.long), 11, True)
    assert entropy is not None
    assert logprobs.shape == entropy.shape == (0,)
    assert at_mask(logprobs, torch.zeros(0, dtype=torch.long), (2, 0)).shape == (2, 0)
