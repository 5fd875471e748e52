"""Likelihood and unlikelihood: optima worked out by hand, numbers at both ends, labels that are none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tgframe import DataError
from tgframe.testing import make_context
from tgframe_ulma.demonstrations import All, AtLeast
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.objectives.sft import SFT
from tgframe_ulma.objectives.ulma import ULMA
from tgframe_ulma.objectives.unlikelihood import CLOSEST, Unlikelihood, log_complement

MOVED = (0.6, 0.3, 0.1)


def close(expected: Any, tolerance: float = 1e-6) -> Any:
    return pytest.approx(expected, abs=tolerance)


def test_sft_learns_the_distribution_of_demonstrations(toy: Any) -> None:
    model = toy()
    groups, labels = [[0] * 5 + [1] * 3 + [2] * 4], [[1.0] * 5 + [1.0] * 3 + [1.0] * 2 + [0.0] * 2]
    policy, _ = model.optimum(SFT(demonstrations=AtLeast(1.0)), lambda: model.step(SFT(), groups, labels))
    assert policy == close((0.5, 0.3, 0.2))


def test_sft_of_all_needs_no_preference(toy: Any, filled: Any) -> None:
    objective, model = SFT(demonstrations=All()), toy(MOVED)
    rollouts = model.rollouts([[0, 1], [2, -1]])
    scores = model.policy.score(rollouts).logprobs
    loss, logs = objective.loss(filled(objective, rollouts, None, scores, scores.detach()))
    assert float(loss.detach()) == close(-sum(math.log(p) for p in MOVED) / 3)
    assert logs["demonstrations"] == 3.0


def test_sft_without_a_demonstration_has_no_loss(toy: Any) -> None:
    model = toy()
    loss, gradient = model.loss(SFT(), [[0, 2]], [[1.0, 0.0]], [[False, False]])
    assert (loss, gradient) == (0.0, [0.0, 0.0, 0.0])


def test_where_the_shares_of_good_labels_add_up_to_one_they_are_the_optimum(toy: Any, counts: Any) -> None:
    """d/dp of ``-m log p - (1 - m) log(1 - p)`` is 0 at ``p = m``, for each response by itself."""
    model, objective = toy((0.2, 0.3, 0.5)), Unlikelihood()
    policy, _ = model.optimum(objective, lambda: model.counted(objective, counts((0.5, 0.3, 0.2), (1 / 3,) * 3, 30)))
    assert policy == close((0.5, 0.3, 0.2))


def test_loss_and_gradient_of_a_bad_completion(toy: Any) -> None:
    loss, gradient = toy(MOVED).loss(Unlikelihood(weight=2.0), [[0]], [[0.0]])
    assert loss == close(-2.0 * math.log(0.4))
    slope = 2.0 * 0.6 / 0.4  # of the loss in log p
    assert gradient == close([slope * 0.4, -slope * 0.3, -slope * 0.1])


def test_balance_averages_each_class_by_itself(toy: Any) -> None:
    given: Any = ([[0, 1, 2]], [[1.0, 1.0, 0.0]])
    good, bad = [-math.log(p) for p in MOVED[:2]], -math.log(0.9)
    assert toy(MOVED).loss(Unlikelihood(), *given)[0] == close((sum(good) + bad) / 3)
    assert toy(MOVED).loss(Unlikelihood(balance=True), *given)[0] == close(sum(good) / 2 + bad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_complement_is_exact_at_both_ends(dtype: Any) -> None:
    tolerance = 1e-6 if dtype is torch.float64 else 2e-6
    probability = torch.tensor([1e-30, 1e-9, 0.1, 0.499, 0.501, 0.9, 0.999], dtype=torch.float64)
    found = log_complement(probability.log().to(dtype)).double()
    torch.testing.assert_close(found, torch.log1p(-probability), rtol=1e-3, atol=tolerance)
    small = log_complement(torch.tensor([math.log(1e-30)], dtype=dtype))
    assert float(small) == pytest.approx(-1e-30, rel=1e-3)


def test_a_certain_token_has_a_finite_loss_and_is_still_unlearned() -> None:
    logprobs = torch.tensor([0.0, -1e-9, -math.inf], requires_grad=True)
    found = log_complement(logprobs)
    assert found[:2].tolist() == close([math.log(CLOSEST)] * 2, 0.1)
    assert found[2].item() == 0.0
    (gradient,) = torch.autograd.grad(found[:2].sum(), logprobs)
    assert torch.isfinite(gradient).all()
    assert (gradient[:2] < -1e5).all()


@pytest.mark.parametrize("objective", [PointwiseDPO(), ULMA(), Unlikelihood()], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("label", [0.5, -1.0, 2.0])
def test_labels_that_are_no_classes_are_refused(toy: Any, objective: Any, label: float) -> None:
    step = toy().step(objective, [[0, 1], [2, 0]], [[1.0, 0.0], [None, label]], [[False] * 2] * 2)
    with pytest.raises(DataError, match=rf"Labels must be 0 or 1, but prompt 'x1' has {label} instead\. Mend the row"):
        objective.build(make_context()).loss(step)


@pytest.mark.parametrize(
    "objective", [PointwiseDPO(), PointwiseDPO(balance=True), ULMA(), ULMA(balance=True), Unlikelihood(balance=True)]
)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_batch_of_one_class_has_that_class_alone(toy: Any, objective: Any, label: float) -> None:
    model = toy(MOVED)
    given: Any = ([[0, 1]], [[label, label]], [[label > 0.5] * 2])
    loss, gradient = model.loss(objective, *given)
    assert math.isfinite(loss)
    assert loss > 0
    assert all(map(math.isfinite, gradient))
    plain = type(objective)()
    assert loss == close(toy(MOVED).loss(plain, *given)[0]), "the empty class adds nothing"
    _, logs = objective.build(make_context()).loss(model.step(objective, *given))
    assert (logs["positives"], logs["negatives"]) == ((2.0, 0.0) if label else (0.0, 2.0))
    assert all(math.isfinite(float(value)) for value in logs.values())


def test_nan_is_never_hidden(toy: Any) -> None:
    """Of a completion that counts, that is; what is not read may be anything."""
    for objective in (PointwiseDPO(balance=True), ULMA(balance=True), SFT(), Unlikelihood(balance=True)):
        model = toy(MOVED)
        with torch.no_grad():
            model.policy.table[model.end, 0] = math.nan
        assert math.isnan(model.loss(objective, [[0, 2]], [[1.0, 0.0]], [[True, False]])[0])


def test_balance_needs_classes() -> None:
    with pytest.raises(ValueError, match="`balance` must be false with `labels: continuous`"):
        PointwiseDPO(labels="continuous", balance=True)
