"""The soft aggregators against closed forms and laws."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tgframe_tlg.aggregators import LmeMax, LmeMin, SoftAggregator, SoftMax, SoftMin

ALL = [SoftMax, SoftMin, LmeMax, LmeMin]
law = settings(deadline=None, derandomize=True, max_examples=50)

Group = list[list[float]]
groups = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=6), min_size=1, max_size=4)
temperatures = st.floats(0.05, 10)
kinds = st.sampled_from(ALL)
lengths = st.sampled_from(["group", "none"])


def batch(group: Group, width: int = 0, fill: float = 0.0) -> tuple[Tensor, Tensor]:
    width = max(width, *map(len, group))
    values = torch.full((1, len(group), width), fill, dtype=torch.float64)
    mask = torch.zeros(1, len(group), width, dtype=torch.bool)
    for index, row in enumerate(group):
        values[0, index, : len(row)] = torch.tensor(row, dtype=torch.float64)
        mask[0, index, : len(row)] = True
    return values, mask


def brute_force(kind: type[SoftAggregator], row: list[float], beta: float) -> float:
    sign = kind.sign
    total = math.fsum(math.exp(sign * value / beta) for value in row)
    return sign * beta * math.log(total / len(row) if kind.mean else total)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (SoftMax, [6.87807, 4.72198]),
        (SoftMin, [-4.21056, -2.22198]),
        (LmeMax, [1.38501, 1.25625]),
        (LmeMin, [1.2825, 1.24375]),
    ],
)
def test_known_values(kind: type[SoftAggregator], expected: list[float]) -> None:
    values, mask = batch([[0.2, 0.5, 0.9], [0.6, 0.4]])
    assert kind().aggregate(values, mask)[0].tolist() == pytest.approx(expected, abs=6e-6)
    shorter = [value / 2.5 for value in expected]
    assert kind(length="none").aggregate(values, mask)[0].tolist() == pytest.approx(shorter, abs=3e-6)


@law
@given(kinds, groups, temperatures)
def test_is_the_definition(kind: type[SoftAggregator], group: Group, beta: float) -> None:
    found = kind(temperature=beta, length="none").aggregate(*batch(group))[0].tolist()
    assert found == pytest.approx([brute_force(kind, row, beta) for row in group], rel=1e-9, abs=1e-9)


@law
@given(kinds, lengths, groups, st.sampled_from([math.nan, math.inf, -math.inf, 1e30]), st.integers(0, 3))
def test_what_is_masked_is_never_read(
    kind: type[SoftAggregator], length: str, group: Group, garbage: float, more: int
) -> None:
    aggregator = kind(length=length)  # type: ignore[arg-type]
    clean = aggregator.aggregate(*batch(group))
    values, mask = batch(group, max(map(len, group)) + more, garbage)
    values.requires_grad_()
    dirty = aggregator.aggregate(values, mask)
    torch.testing.assert_close(dirty, clean)
    dirty.sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()
    assert not values.grad[~mask].any()


@law
@given(kinds, groups, st.randoms(use_true_random=False))
def test_order_of_tokens_does_not_matter(kind: type[SoftAggregator], group: Group, random) -> None:  # type: ignore[no-untyped-def]
    mixed = [random.sample(row, len(row)) for row in group]
    torch.testing.assert_close(kind().aggregate(*batch(group)), kind().aggregate(*batch(mixed)))


@law
@given(groups, temperatures)
def test_lies_between_extremes_and_mean(group: Group, beta: float) -> None:
    values, mask = batch(group)
    smooth = {kind: kind(temperature=beta, length="none").aggregate(values, mask)[0] for kind in ALL}
    for index, row in enumerate(group):
        mean, slack, more = sum(row) / len(row), 1e-6, beta * math.log(len(row))
        assert mean - slack <= smooth[LmeMax][index] <= max(row) + slack
        assert min(row) - slack <= smooth[LmeMin][index] <= mean + slack
        assert max(row) - slack <= smooth[SoftMax][index] <= max(row) + more + slack
        assert min(row) - more - slack <= smooth[SoftMin][index] <= min(row) + slack


@law
@given(kinds, st.floats(-5, 5), st.integers(1, 6), st.integers(1, 6))
def test_says_truly_what_length_does(kind: type[SoftAggregator], worth: float, one: int, other: int) -> None:
    aggregator = kind()
    found = aggregator.aggregate(*batch([[worth] * one, [worth] * other]))[0]
    bias = kind.sign * aggregator.temperature * math.log(one / other) * (one + other) / 2
    assert aggregator.length_effect() == ("none" if kind.mean else "biased")
    assert float(found[0] - found[1]) == pytest.approx(0.0 if kind.mean else bias, abs=1e-9)


@law
@given(kinds, groups)
def test_a_better_token_never_hurts(kind: type[SoftAggregator], group: Group) -> None:
    values, mask = batch(group)
    values.requires_grad_()
    kind().aggregate(values, mask).sum().backward()
    assert values.grad is not None
    assert (values.grad[mask] >= 0).all()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("length", ["group", "none"])
@pytest.mark.parametrize("width", [0, 3])
def test_nothing_marked_is_worth_nothing(kind: type[SoftAggregator], length: str, width: int) -> None:
    values = torch.randn(1, 2, width, requires_grad=True)
    mask = torch.zeros(1, 2, width, dtype=torch.bool)
    mask[0, 0] = True
    found = kind(length=length).aggregate(values, mask)  # type: ignore[arg-type]
    assert float(found[0, 1].detach()) == 0.0
    found.sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


def test_groups_do_not_share_their_length() -> None:
    one, other = batch([[0.2, 0.5, 0.9], [0.6, 0.4]]), batch([[0.1, 0.1, 0.1], [0.3, 0.2, 0.6]])
    both = SoftMax().aggregate(torch.cat([one[0], other[0]]), torch.cat([one[1], other[1]]))
    torch.testing.assert_close(both, torch.cat([SoftMax().aggregate(*one), SoftMax().aggregate(*other)]))


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"temperature": -1.0}, {"length": "batch"}])
def test_refuses_nonsense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SoftMax(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("aggregator", [SoftMax(), SoftMin(), LmeMax(), LmeMin()])
def test_absent_completions_leave_the_others_alone(aggregator: SoftAggregator) -> None:
    values = torch.tensor([[[1.0, 2.0, 0.5], [0.3, 0.0, 0.0], [9.0, 9.0, 9.0]]])
    mask = torch.tensor([[[True, True, True], [True, False, False], [False, False, False]]])
    found = aggregator.aggregate(values, mask)
    torch.testing.assert_close(found[:, :2], aggregator.aggregate(values[:, :2], mask[:, :2]))
    assert found[0, 2] == 0
