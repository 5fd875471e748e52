"""The ranking loss against closed forms, laws, and a brute force in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau
from torch import Tensor

from tgframe.engine.ranking import agreement, plackett_luce, subsets

law = settings(deadline=None, derandomize=True)


def brute_force(scores: list[float], values: list[float], valid: list[bool]) -> float | None:
    """The definition, item by item; None where the ranking is skipped."""
    known = [index for index, is_valid in enumerate(valid) if is_valid]
    if len(known) < 2 or len({values[index] for index in known}) < 2:
        return None
    loss = 0.0
    for item in known:
        below = [scores[other] - scores[item] for other in known if values[other] <= values[item]]
        top = max(below)
        loss += top + math.log(math.fsum(math.exp(one - top) for one in below))
    return loss


def brute_gradient(scores: list[float], values: list[float], valid: list[bool]) -> list[float]:
    """The derivative of the definition, written out: softmax over each denominator, less one for its own item."""
    known = [index for index, is_valid in enumerate(valid) if is_valid]
    gradient = [0.0] * len(scores)
    for item in known:
        below = [other for other in known if values[other] <= values[item]]
        top = max(scores[other] for other in below)
        total = math.fsum(math.exp(scores[other] - top) for other in below)
        for other in below:
            gradient[other] += math.exp(scores[other] - top) / total
        gradient[item] -= 1.0
    return gradient


@st.composite
def rankings(draw: st.DrawFn, spread: float = 30.0, ties: bool = True) -> tuple[list[float], list[float], list[bool]]:
    size = draw(st.integers(1, 9))
    numbers = st.floats(-spread, spread, width=32)
    judged = st.integers(-3, 3).map(float) if ties else numbers
    return (
        draw(st.lists(numbers, min_size=size, max_size=size)),
        draw(st.lists(judged, min_size=size, max_size=size)),
        draw(st.lists(st.booleans(), min_size=size, max_size=size)),
    )


def double(numbers: list[float], grad: bool = False) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("scores", "loss"),
    [
        ([3.0, 2.0, 1.0], math.log1p(math.exp(-1) + math.exp(-2)) + math.log1p(math.exp(-1))),
        ([5.0, 10.0, 40.0], 35.0 + 30.0),
        ([60.0, 20.0, 0.0], math.exp(-20)),
    ],
)
def test_closed_forms(scores: list[float], loss: float, dtype: torch.dtype) -> None:
    found = plackett_luce(torch.tensor(scores, dtype=dtype), torch.tensor([3.0, 2.0, 1.0], dtype=dtype))
    assert found.loss.dtype == dtype
    assert float(found.loss) == pytest.approx(loss, rel=1e-6)
    assert (found.counted, found.skipped) == (1, 0)


def test_digits_that_the_paper_digest_gives() -> None:
    order = torch.tensor([3.0, 2.0, 1.0])
    assert float(plackett_luce(torch.tensor([3.0, 2.0, 1.0]), order).loss) == pytest.approx(0.72087, abs=5e-6)
    assert float(plackett_luce(torch.tensor([60.0, 20.0, 0.0]), order).loss) == pytest.approx(2.06e-9, rel=1e-3)


@law
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_two_items_are_bradley_terry(better: float, worse: float) -> None:
    scores = double([better, worse], grad=True)
    loss = plackett_luce(scores, double([1.0, 0.0])).loss
    expected = torch.nn.functional.softplus(scores[1] - scores[0], threshold=50)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-11)
    (found,) = torch.autograd.grad(loss, scores)
    (wanted,) = torch.autograd.grad(expected, scores)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-11)


@law
@given(rankings())
def test_is_the_definition(ranking: tuple[list[float], list[float], list[bool]]) -> None:
    scores, values, valid = ranking
    found = plackett_luce(double(scores), double(values), torch.tensor(valid))
    expected = brute_force(scores, values, valid)
    assert (found.counted, found.skipped) == ((0, 1) if expected is None else (1, 0))
    assert float(found.loss) == pytest.approx(expected or 0.0, rel=1e-9, abs=1e-9)


@law
@given(rankings(spread=1e4))
def test_gradient_is_that_of_the_definition_and_finite(
    ranking: tuple[list[float], list[float], list[bool]],
) -> None:
    scores, values, valid = ranking
    wide = torch.tensor(scores, requires_grad=True)
    found = plackett_luce(wide, torch.tensor(values), torch.tensor(valid))
    found.loss.backward()
    assert wide.grad is not None
    assert torch.isfinite(wide.grad).all()
    expected = [0.0] * len(scores) if brute_force(*ranking) is None else brute_gradient(*ranking)
    torch.testing.assert_close(wide.grad, torch.tensor(expected), rtol=1e-5, atol=1e-6)


@law
@given(rankings(), st.randoms(use_true_random=False))
def test_order_of_the_items_does_not_matter(ranking: tuple[list[float], list[float], list[bool]], random) -> None:  # type: ignore[no-untyped-def]
    scores, values, valid = ranking
    order = list(range(len(scores)))
    random.shuffle(order)
    one = plackett_luce(double(scores), double(values), torch.tensor(valid))
    other = plackett_luce(double(scores)[order], double(values)[order], torch.tensor(valid)[order])
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-10, atol=1e-10)
    assert one[1:] == other[1:]


@law
@given(rankings(), st.floats(-100, 100))
def test_a_shift_of_all_scores_does_not_matter(
    ranking: tuple[list[float], list[float], list[bool]], shift: float
) -> None:
    scores, values, valid = ranking
    one = plackett_luce(double(scores), double(values), torch.tensor(valid)).loss
    other = plackett_luce(double(scores) + shift, double(values), torch.tensor(valid)).loss
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@law
@given(rankings(ties=False))
def test_only_the_order_of_the_values_matters(ranking: tuple[list[float], list[float], list[bool]]) -> None:
    scores, values, valid = ranking
    ranks = [float(sorted(set(values)).index(value)) for value in values]
    one = plackett_luce(double(scores), double(values), torch.tensor(valid))
    other = plackett_luce(double(scores), double(ranks), torch.tensor(valid))
    torch.testing.assert_close(one.loss, other.loss)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e38])
def test_missing_judgments_take_no_part(garbage: float) -> None:
    scores = torch.tensor([[1.0, garbage, 0.5, garbage]], requires_grad=True)
    values = torch.tensor([[2.0, garbage, 1.0, -garbage]])
    valid = torch.tensor([[True, False, True, False]])
    found = plackett_luce(scores, values, valid)
    assert float(found.loss.detach()) == pytest.approx(math.log1p(math.exp(-0.5)), rel=1e-6)
    found.loss.backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[0, [1, 3]].tolist() == [0.0, 0.0]


def test_ties_draw_each_other_together() -> None:
    scores = torch.tensor([5.0, 1.0, -1.0], requires_grad=True)
    plackett_luce(scores, torch.tensor([1.0, 0.0, 0.0])).loss.backward()
    assert scores.grad is not None
    assert scores.grad[1] > 0.3
    assert scores.grad[2] < -0.3


def test_skips_what_says_nothing_and_counts_it() -> None:
    scores = torch.tensor([[3.0, 1.0], [1.0, 2.0], [0.0, 9.0], [4.0, 4.0]], requires_grad=True)
    values = torch.tensor([[1.0, 0.0], [7.0, 7.0], [1.0, 0.0], [0.0, 1.0]])
    valid = torch.tensor([[True, True], [True, True], [True, False], [True, True]])
    found = plackett_luce(scores, values, valid)
    assert (found.counted, found.skipped) == (2, 2)
    assert float(found.loss.detach()) == pytest.approx((math.log1p(math.exp(-2)) + math.log(2)) / 2, rel=1e-6)
    found.loss.backward()
    assert scores.grad is not None
    assert scores.grad[1:3].abs().max() == 0


def test_nothing_to_learn_is_zero_with_a_gradient() -> None:
    scores = torch.randn(3, 4, requires_grad=True)
    found = plackett_luce(scores, torch.ones(3, 4))
    assert (float(found.loss.detach()), found.counted, found.skipped) == (0.0, 0, 3)
    found.loss.backward()
    assert scores.grad is not None
    assert not scores.grad.any()


def test_leading_axes_are_independent_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 5, generator=generator)
    values = torch.randint(0, 4, (2, 3, 5), generator=generator).float()
    valid = torch.rand(2, 3, 5, generator=generator) > 0.2
    losses = [
        brute_force(s.tolist(), v.tolist(), m.tolist())
        for s, v, m in zip(scores.flatten(0, 1), values.flatten(0, 1), valid.flatten(0, 1), strict=True)
    ]
    counted = [loss for loss in losses if loss is not None]
    assert float(plackett_luce(scores, values, valid).loss) == pytest.approx(sum(counted) / len(counted), rel=1e-6)


def test_nan_of_a_judged_item_is_not_hidden() -> None:
    assert torch.isnan(plackett_luce(torch.tensor([1.0, math.nan]), torch.tensor([1.0, 0.0])).loss)


def test_refuses_shapes_that_differ() -> None:
    with pytest.raises(ValueError, match=r"one shape \[\.\.\.,K\]"):
        plackett_luce(torch.zeros(2, 3), torch.zeros(3))


def test_subsets_hold_different_items_and_repeat_with_the_seed() -> None:
    found = subsets(16, 5, 64, torch.Generator().manual_seed(1), batch=3)
    assert (found.shape, found.dtype) == ((3, 64, 5), torch.int64)
    assert all(len(set(row)) == 5 for row in found.flatten(0, 1).tolist())
    assert found.min() == 0
    assert found.max() == 15
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found, subsets(16, 5, 64, torch.Generator().manual_seed(1), batch=3))


def test_subsets_are_uniform() -> None:
    found = subsets(4, 2, 12_000, torch.Generator().manual_seed(0), batch=1)
    counts = torch.bincount((found[0, :, 0] * 4 + found[0, :, 1]), minlength=16).float()
    expected = torch.full((4, 4), 1000.0).fill_diagonal_(0).flatten()
    assert (counts - expected).abs().max() < 5 * math.sqrt(1000)


def test_subsets_refuses_more_than_there_are() -> None:
    with pytest.raises(ValueError, match="between 1 and the 3 items"):
        subsets(3, 4, 1, torch.Generator(), batch=1)


@law
@given(rankings())
def test_agreement_is_that_of_scipy(ranking: tuple[list[float], list[float], list[bool]]) -> None:
    scores, values, valid = (list(part) for part in ranking)
    scores = [float(round(score / 10)) for score in scores]  # so that scores tie as well
    known = [index for index, is_valid in enumerate(valid) if is_valid]
    found = agreement(double(scores), double(values), torch.tensor(valid))
    tau = kendalltau([scores[i] for i in known], [values[i] for i in known]).statistic if len(known) > 1 else math.nan
    if math.isnan(tau):
        assert found.tau is None
    else:
        assert found.tau == pytest.approx(tau, abs=1e-12)
    pairs = [(i, j) for i in known for j in known if values[i] > values[j]]
    right = sum(1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0 for i, j in pairs)
    assert found.accuracy == (pytest.approx(right / len(pairs)) if pairs else None)


def test_agreement_is_a_mean_over_groups_that_say_something() -> None:
    scores = torch.tensor([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    values = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    assert agreement(scores, values) == (0.5, 0.0)
    assert agreement(scores[1:2], values[1:2]) == (None, None)
