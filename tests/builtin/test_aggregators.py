"""Closed-form values and laws of sum and mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tgframe import Aggregator
from tgframe.builtin.aggregators import Mean, Sum
from tgframe.testing import AggregatorContract

ALL: list[Aggregator] = [Sum(), Mean(), Mean("none")]


class TestSum(AggregatorContract):
    def make(self) -> Sum:
        return Sum()


class TestMean(AggregatorContract):
    def make(self) -> Mean:
        return Mean()


class TestPlainMean(AggregatorContract):
    def make(self) -> Mean:
        return Mean(length="none")


def padded(*rows: list[float]) -> tuple[Tensor, Tensor]:
    """Return one group of completions."""
    width = max(map(len, rows))
    values = torch.tensor([[[*row, *[9.0] * (width - len(row))] for row in rows]])
    return values, torch.tensor([[[column < len(row) for column in range(width)] for row in rows]])


def test_values_by_hand() -> None:
    values, mask = padded([0.2, 0.5, 0.9], [0.6, 0.4])
    torch.testing.assert_close(Sum().aggregate(values, mask), torch.tensor([[1.6, 1.0]]))
    torch.testing.assert_close(Mean().aggregate(values, mask), torch.tensor([[4 / 3, 1.25]]))
    torch.testing.assert_close(Mean("none").aggregate(values, mask), torch.tensor([[1.6 / 3, 0.5]]))


def test_absent_completions_do_not_shorten_the_group() -> None:
    values, mask = padded([0.2, 0.5, 0.9], [0.6, 0.4], [])
    torch.testing.assert_close(Mean().aggregate(values, mask), torch.tensor([[4 / 3, 1.25, 0.0]]))
    nothing = Mean().aggregate(*padded([], [1.0]))[:, :1]
    assert nothing.tolist() == [[0.0]]


def test_equal_lengths_make_the_mean_a_sum() -> None:
    values = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 4, 5, dtype=torch.bool)
    torch.testing.assert_close(Mean().aggregate(values, mask), Sum().aggregate(values, mask))


def test_lengths_of_other_prompts_do_not_matter() -> None:
    values = torch.ones(2, 2, 4)
    mask = torch.arange(4) < torch.tensor([[[1], [3]], [[4], [4]]])
    assert Mean().aggregate(values, mask).tolist() == [[2.0, 2.0], [4.0, 4.0]]


@st.composite
def groups(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    b, k, t = (draw(st.integers(1, 4)) for _ in range(3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    values = torch.randn(b, k, t, generator=generator, dtype=torch.double) * draw(st.sampled_from([1e-3, 1.0, 1e3]))
    return values, torch.rand(b, k, t, generator=generator) < draw(st.sampled_from([0.0, 0.5, 1.0]))


@pytest.mark.parametrize("aggregator", ALL, ids=repr)
@settings(max_examples=50, deadline=None)
@given(group=groups(), junk=st.sampled_from([float("nan"), float("inf"), -1e30]), data=st.data())
def test_laws(aggregator: Aggregator, group: tuple[Tensor, Tensor], junk: float, data: st.DataObject) -> None:
    values, mask = group
    expected = aggregator.aggregate(values, mask)
    leaf = values.masked_fill(~mask, junk).requires_grad_()
    found = aggregator.aggregate(leaf, mask)
    assert torch.equal(found, expected), "values off the mask were read"
    found.sum().backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
    assert not leaf.grad[~mask].any()
    assert (leaf.grad[mask] > 0).all(), "more is better, for every token"
    order = data.draw(st.permutations(range(values.shape[1])))
    torch.testing.assert_close(aggregator.aggregate(values[:, order], mask[:, order]), expected[:, order])
    torch.testing.assert_close(aggregator.aggregate(2 * values, mask), 2 * expected)
    longer = torch.nn.functional.pad(values, (0, 3), value=junk), torch.nn.functional.pad(mask, (0, 3))
    torch.testing.assert_close(aggregator.aggregate(*longer), expected)


def test_length_effects() -> None:
    assert [aggregator.length_effect() for aggregator in ALL] == ["sum", "none", "none"]
    with pytest.raises(ValueError, match="length"):
        Mean("word")  # type: ignore[arg-type]


def test_completions_of_one_length_have_the_sum_to_the_last_bit() -> None:
    values = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 7, 5, dtype=torch.bool)
    assert torch.equal(Mean().aggregate(values, mask), Sum().aggregate(values, mask))
