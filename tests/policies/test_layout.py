"""What the model reads, token by token."""

from __future__ import annotations

import torch

from tgframe import Prompts
from tgframe.policies.layout import prefill, sequence, source, written
from tgframe.testing import make_rollouts

START, CPU = 99, torch.device("cpu")


def prompts(rows: list[list[int]], width: int) -> Prompts:
    tokens = torch.tensor([[0] * (width - len(row)) + row for row in rows], dtype=torch.long).reshape(len(rows), width)
    mask = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows]).reshape(len(rows), width)
    names = tuple(map(str, range(len(rows))))
    return Prompts(names, names, tokens, mask.bool())


def test_the_start_token_stands_right_before_the_prompt() -> None:
    found = prefill(prompts([[1, 2, 3], [4], []], 3), (7, 8), START, CPU)
    assert found.mask is not None
    assert found.tokens[found.mask].tolist() == [START, 1, 2, 3, 7, 8, START, 4, 7, 8, START, 7, 8]
    assert found.mask.tolist() == [[True] * 6, [False] * 2 + [True] * 4, [False] * 3 + [True] * 3]
    assert found.positions is not None
    assert found.positions[found.mask].tolist() == [*range(6), *range(4), *range(3)]


def test_prompts_without_padding_need_no_mask() -> None:
    for rows, width in (([[1, 2], [3, 4]], 2), ([[], []], 0)):
        found = prefill(prompts(rows, width), (), START, CPU)
        assert found.tokens.tolist() == [[START, *row] for row in rows]
        assert found.mask is found.positions is None


def test_sequences_leave_out_the_last_token() -> None:
    rollouts = make_rollouts([["ab", "c"], ["", "defg"]], ["long prompt", "short"])
    start = prefill(rollouts.prompts, (), START, CPU)
    tokens, mask, positions = sequence(start, rollouts)
    width = start.tokens.shape[-1]
    assert tokens.shape == (len(rollouts.prompts) * rollouts.k, width + rollouts.tokens.shape[-1] - 1)
    assert torch.equal(tokens[:, width:].reshape(*rollouts.tokens.shape[:2], -1), rollouts.tokens[..., :-1])
    assert torch.equal(tokens[:: rollouts.k, :width], start.tokens)
    assert mask is not None
    assert positions is not None
    assert mask[:, width:].all()
    assert (positions[:, 1:] - positions[:, :-1])[mask[:, :-1]].eq(1).all()


def test_sources_start_at_the_first_position() -> None:
    tokens, mask = source(prompts([[1, 2, 3], [4], []], 6), 9, CPU)
    assert tokens[mask].tolist() == [1, 2, 3, 4, 9], "an empty one is the end token alone"
    assert mask.tolist() == [[True] * 3, [True, False, False], [True, False, False]]
    assert source(prompts([], 4), 9, CPU)[0].shape == (0, 0)


def test_what_a_decoder_starts_from_is_never_padded() -> None:
    rollouts = make_rollouts([["ab", "c"], ["", "defg"]], ["long prompt", "short"])
    start = written(2, (START, 5), CPU)
    assert start.tokens.tolist() == [[START, 5]] * 2
    tokens, mask, positions = sequence(start, rollouts)
    assert mask is positions is None
    assert torch.equal(tokens[:, 2:].reshape(2, 2, -1), rollouts.tokens[..., :-1])
