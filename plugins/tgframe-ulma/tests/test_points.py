"""Point-wise DPO against optima and gradients worked out by hand: three responses, one prompt.

Labels are good with chance 0.9, 0.5 and 0.2; beta is 0.5. The exact optimum, with c = beta log Z, is
pi* = ref exp(logit / beta) / Z; other values of c have optima of their own.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from tgframe.testing import make_context
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.partition.fixed import Constant, Zero
from tgframe_ulma.partition.learned import Learned

GOOD, UNIFORM, SKEWED, REFERENCE = (0.9, 0.5, 0.2), (1 / 3, 1 / 3, 1 / 3), (0.6, 0.3, 0.1), (0.5, 0.3, 0.2)
EXACT, BEST = 1.854494, [0.992343, 0.007351, 0.000306]


def close(expected: Any, tolerance: float = 1e-6) -> Any:
    return pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(("data", "total"), [(UNIFORM, 30), (SKEWED, 100)])
def test_the_exact_constant_leads_to_the_optimum_whatever_the_data(
    toy: Any, counts: Any, data: Any, total: int
) -> None:
    model, objective, given = toy(), PointwiseDPO(partition=Constant(EXACT)), counts(GOOD, data, total)
    policy, loss = model.optimum(objective, lambda: model.counted(objective, given))
    assert policy == close(BEST)
    if data is UNIFORM:
        assert loss == close(0.506211)


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        (0.0, (0.818127, 0.170118, 0.011755)),
        (0.5, (0.902687, 0.092775, 0.004538)),
        (1.0, (0.959143, 0.039169, 0.001688)),
        (2.0, (0.994273, 0.005498, 0.000229)),
    ],
)
def test_another_constant_has_another_optimum(toy: Any, counts: Any, constant: float, expected: Any) -> None:
    model, objective = toy(), PointwiseDPO(partition=Constant(constant) if constant else Zero())
    policy, loss = model.optimum(objective, lambda: model.counted(objective, counts(GOOD, UNIFORM, 30)))
    assert policy == close(expected)
    if not constant:
        assert loss == close(0.601957)


def test_without_a_constant_the_optimum_follows_the_data(toy: Any, counts: Any) -> None:
    model, objective = toy(), PointwiseDPO()
    policy, _ = model.optimum(objective, lambda: model.counted(objective, counts(GOOD, SKEWED, 100)))
    assert policy == close((0.859212, 0.131389, 0.009399))


def test_a_learned_constant_finds_the_optimum_and_itself(toy: Any, counts: Any) -> None:
    model, objective = toy(), PointwiseDPO(partition=Learned(speed=1.0))
    part = objective.build(make_context()).double()
    policy, loss = model.optimum(objective, lambda: model.counted(objective, counts(GOOD, UNIFORM, 30)), part)
    assert policy == close(BEST)
    assert loss == close(0.506211)
    assert part.partition.slow.item() == close(EXACT, 1e-5)


def test_equal_labels_move_nothing_where_the_data_are_the_reference(toy: Any, counts: Any) -> None:
    model, objective, given = toy(), PointwiseDPO(), counts((0.9,) * 3, REFERENCE, 100)
    loss, _ = objective.build(make_context()).loss(model.counted(objective, given))
    assert loss.item() == close(math.log(2.0))
    assert model.gradient(loss) == close((0.0, 0.0, 0.0))


def test_equal_labels_drag_the_policy_to_other_data_without_a_constant(toy: Any, counts: Any) -> None:
    given = counts((0.9,) * 3, UNIFORM, 30)
    model, objective = toy(), PointwiseDPO()
    policy, loss = model.optimum(objective, lambda: model.counted(objective, given))
    assert policy == close((0.371794, 0.330156, 0.298051))
    assert loss == close(0.682581)
    model, objective = toy(), PointwiseDPO(partition=Learned(speed=1.0))
    part = objective.build(make_context()).double()
    policy, loss = model.optimum(objective, lambda: model.counted(objective, given), part)
    assert policy == close(REFERENCE)
    assert loss == close(0.325083)
    assert part.partition.slow.item() == close(math.log(9.0), 1e-5)


@pytest.mark.parametrize(
    ("start", "loss", "gradient"),
    [
        (REFERENCE, math.log(2.0), (-0.058333, 0.005, 0.053333)),
        ((0.6, 0.3, 0.1), 0.651661, (-0.046570, 0.008151, 0.038419)),
    ],
)
def test_loss_and_gradient(toy: Any, counts: Any, start: Any, loss: float, gradient: Any) -> None:
    model, objective = toy(start), PointwiseDPO()
    found, _ = objective.build(make_context()).loss(model.counted(objective, counts(GOOD, UNIFORM, 30)))
    assert found.item() == close(loss)
    assert model.gradient(found) == close(gradient)


def test_a_policy_off_the_reference_has_these_rewards(toy: Any) -> None:
    model = toy((0.6, 0.3, 0.1))
    step = model.step(PointwiseDPO(), [[0, 1, 2]], [[1.0, 1.0, 0.0]])
    assert step.guidance.values.squeeze(-1)[0].tolist() == close((0.091161, 0.0, -0.346574))


@pytest.mark.parametrize(
    ("response", "label", "loss", "weight"), [(0, 1.0, 0.648605, 0.238613), (2, 0.0, 0.534800, -0.207107)]
)
def test_one_completion_has_a_weight_of_its_own(
    toy: Any, response: int, label: float, loss: float, weight: float
) -> None:
    model = toy((0.6, 0.3, 0.1))
    found, gradient = model.loss(PointwiseDPO(), [[response]], [[label]])
    assert found == close(loss)
    own = [float(y == response) - p for y, p in enumerate(model.probabilities)]
    assert gradient == close([-weight * share for share in own])


def test_at_the_reference_it_is_the_policy_gradient_of_plus_and_minus_one(toy: Any, counts: Any) -> None:
    model, objective, given = toy(), PointwiseDPO(), counts(GOOD, UNIFORM, 30)
    found, _ = objective.build(make_context()).loss(model.counted(objective, given))
    expected = [0.0, 0.0, 0.0]
    for (response, label), count in given.items():
        for y, p in enumerate(model.probabilities):
            expected[y] -= 0.25 * (2 * label - 1) * (float(y == response) - p) * count / 30
    assert model.gradient(found) == close(expected)


def test_labels_without_noise_have_no_optimum_but_fall_steadily(toy: Any) -> None:
    model, objective = toy(), PointwiseDPO()
    part, optimizer = objective.build(make_context()), torch.optim.SGD([model.policy.table], lr=1.0)
    losses, bad = [], {}
    for turn in range(1, 1001):
        loss, _ = part.loss(model.step(objective, [[0, 1, 2]], [[1.0, 1.0, 0.0]]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        bad[turn] = model.probabilities[2]
    assert (bad[10], bad[100], bad[1000]) == close((0.067286, 0.001525, 0.000013))
    assert all(after < before for before, after in itertools.pairwise(losses))
    assert losses[-1] > 0.4222
    assert model.probabilities[:2] == close((0.5268, 0.4732), 1e-3)


def test_continuous_labels_are_the_rewards(toy: Any) -> None:
    objective = PointwiseDPO(labels="continuous", partition=Constant(0.719402))
    given: Any = ([[0, 1, 2]], [[1.0, 0.2, -0.5]])
    exact, learned, plain = toy(), toy(), toy()
    policy, loss = exact.optimum(objective, lambda: exact.step(objective, *given))
    assert policy == close((0.876384, 0.106163, 0.017453))
    assert loss == close(0.0)
    objective = PointwiseDPO(labels="continuous", partition=Learned(speed=1.0))
    part = objective.build(make_context()).double()
    assert learned.optimum(objective, lambda: learned.step(objective, *given), part)[0] == close(policy, 1e-5)
    assert part.partition.slow.item() == close(0.719402, 1e-5)
    objective = PointwiseDPO(labels="continuous")
    assert plain.loss(objective, *given)[1] == close((-0.216667, 0.003333, 0.213333))
    policy, loss = plain.optimum(objective, lambda: plain.step(objective, *given))
    assert policy == close((0.690694, 0.246184, 0.063122))
    assert loss == close(0.266064)


def test_balanced_classes_act_as_other_odds(toy: Any, counts: Any) -> None:
    model, objective = toy(), PointwiseDPO(balance=True)
    policy, _ = model.optimum(objective, lambda: model.counted(objective, counts(GOOD, UNIFORM, 30)))
    assert policy == close((0.842457, 0.148382, 0.009162))
    # P(good) is 16/30: the odds of each response are divided by the ratio of the classes, 16/14
    odds = [good / (1 - good) / (16 / 14) for good in GOOD]
    assert [value / (1 + value) for value in odds] == close((0.887324, 0.466667, 0.179487))
