"""The decoding loop over a model that is a table: what it feeds, what it bars, when it stops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tgframe import Limits
from tgframe.runtime.decoding import Drawn, Prefill, Vocabulary, decode, positions_of

END, PAD, SIZE = 4, 5, 6


class Table:
    """Next-token logits that depend on the last token alone; remembers how it was called."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.calls: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
        self.repeats: list[int] = []
        self.kept: list[list[int]] = []

    def __call__(self, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, cache: Any) -> Tensor:
        assert torch.is_inference_mode_enabled()
        self.calls.append((tokens, mask, positions))
        return self.logits[tokens[:, -1]].clone()

    def batch_repeat_interleave(self, repeats: int) -> None:
        self.repeats.append(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        self.kept.append(indices.tolist())


def first(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the likeliest token, at probability 1/2; must not be given a row of barred tokens alone."""
    assert not logits.isinf().all(-1).any()
    return logits.argmax(-1), torch.full((len(logits),), -0.7)


def run(table: Table, prefill: Prefill, k: int, limits: Limits, banned: frozenset[int] = frozenset()) -> Drawn:
    vocabulary = Vocabulary(SIZE, END, PAD, banned)
    return decode(table, table, prefill, k, first, limits, vocabulary, torch.Generator())


def chain(*after: int) -> Table:
    """Return a table where token ``i`` is followed by ``after[i]``."""
    return Table(torch.nn.functional.one_hot(torch.tensor([*after, *[0] * (SIZE - len(after))]), SIZE).float())


def test_rows_end_apart_and_are_padded() -> None:
    table = chain(1, 2, 3, END, 0)
    found = run(table, Prefill(torch.tensor([[0], [2]])), 1, Limits(10))
    assert found.tokens.tolist() == [[1, 2, 3, END], [3, END, PAD, PAD]]
    assert found.mask.tolist() == [[True] * 4, [True, True, False, False]]
    torch.testing.assert_close(found.logprobs, torch.where(found.mask, -0.7, 0.0))
    assert len(table.calls) == 4, "it stops when all rows have ended"
    assert not found.tokens.is_inference()


@pytest.mark.parametrize("padded", [False, True])
def test_rows_that_have_ended_are_fed_no_more(padded: bool) -> None:
    table = chain(1, 2, 3, END)
    starts, mask = torch.tensor([[0, 2], [0, 3], [0, 0], [0, 1]]), torch.tensor([[not padded, True]] * 3 + [[True] * 2])
    found = run(table, Prefill(starts, mask if padded else None), 1, Limits(10))
    assert found.tokens.tolist() == [[3, END, PAD, PAD], [END, PAD, PAD, PAD], [1, 2, 3, END], [2, 3, END, PAD]]
    assert found.mask.sum(-1).tolist() == [2, 1, 4, 3]
    torch.testing.assert_close(found.logprobs, torch.where(found.mask, -0.7, 0.0))
    assert [len(tokens) for tokens, _, _ in table.calls] == [4, 4, 2, 1]
    assert table.kept == [[2, 3], [0]], "of those fed before"
    if padded:
        assert [None if mask is None else mask.tolist() for _, mask, _ in table.calls[2:]] == [
            [[False, *[True] * 3], [True] * 4],
            [[False, *[True] * 4]],
        ]
        assert [positions.tolist() for _, _, positions in table.calls[2:] if positions is not None] == [
            [[2], [3]],
            [[3]],
        ]


def test_one_prompt_pass_serves_k_completions() -> None:
    table = chain(1, 2, 3, END)
    found = run(table, Prefill(torch.tensor([[0], [1]])), 3, Limits(2))
    assert [tuple(call[0].shape) for call in table.calls] == [(2, 1), (6, 1)]
    assert table.repeats == [3]
    assert found.tokens.tolist() == [[1, 2]] * 3 + [[2, 3]] * 3, "completions of a prompt stand side by side"


def test_a_fixed_length_has_no_end_token_and_a_minimum_holds_it_back() -> None:
    table = Table(torch.eye(SIZE)[torch.full((SIZE,), END)] + 0.1 * torch.eye(SIZE)[torch.full((SIZE,), 3)])
    start = Prefill(torch.tensor([[0]]))
    assert run(table, start, 1, Limits(3, 3)).tokens.tolist() == [[3, 3, 3]]
    assert run(table, start, 1, Limits(4, 2)).tokens.tolist() == [[3, 3, END]]
    assert run(table, start, 1, Limits(4)).tokens.tolist() == [[END]]
    assert run(table, start, 1, Limits(2), banned=frozenset({END})).tokens.tolist() == [[3, 3]]


def test_padded_prompts_come_with_mask_and_positions() -> None:
    table = chain(1, 2, 3, 3)
    mask = torch.tensor([[False, False, True, True], [True, True, True, True]])
    run(table, Prefill(torch.zeros(2, 4, dtype=torch.long), mask), 2, Limits(3))
    prompt, one, two = table.calls
    assert prompt[1] is mask
    assert prompt[2] is not None
    assert prompt[2].tolist() == [[0, 0, 0, 1], [0, 1, 2, 3]]
    for step, call in ((1, one), (2, two)):
        assert call[1] is not None
        assert call[2] is not None
        assert call[1].tolist() == [[*row, *[True] * step] for row in mask.repeat_interleave(2, 0).tolist()]
        assert call[2].tolist() == [[1 + step], [1 + step], [3 + step], [3 + step]]


def test_nothing_padded_needs_no_mask() -> None:
    table = chain(1, 2, 3, 3)
    run(table, Prefill(torch.zeros(2, 4, dtype=torch.long)), 2, Limits(3))
    assert all(mask is None and positions is None for _, mask, positions in table.calls)


def test_positions_count_real_tokens() -> None:
    assert positions_of(torch.tensor([[False, True, True], [True, True, False]])).tolist() == [[0, 0, 1], [0, 1, 1]]
