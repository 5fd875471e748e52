"""ULMA against optima worked out by hand; demonstrations by mark and by rule; what contradicts itself."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch

from tgframe import ComponentError, DataError, Preferences
from tgframe.testing import make_context
from tgframe_ulma.demonstrations import All, AtLeast, Marked
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.objectives.sft import SFT
from tgframe_ulma.objectives.ulma import ULMA
from tgframe_ulma.partition.fixed import Constant

GOOD, UNIFORM, MOVED = (0.9, 0.5, 0.2), (1 / 3, 1 / 3, 1 / 3), (0.6, 0.3, 0.1)


def close(expected: Any, tolerance: float = 1e-6) -> Any:
    return pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    ("objective", "expected", "loss"),
    [
        (ULMA(), (0.663533, 0.286075, 0.050393), 0.778405),
        (ULMA(partition=Constant(1.854494)), (0.745778, 0.249795, 0.004427), None),
        (ULMA(weight=0.5), (0.748097, 0.234863, 0.017040), None),
        (ULMA(balance=True), (0.676965, 0.280048, 0.042986), None),
        (ULMA(demonstrations=AtLeast(1.0)), (0.663533, 0.286075, 0.050393), 0.778405),
        (SFT(), (0.5625, 0.3125, 0.125), None),
    ],
    ids=["plain", "exact constant", "weight beta", "balanced", "by rule", "sft alone"],
)
def test_the_optimum(toy: Any, counts: Any, objective: Any, expected: Any, loss: float | None) -> None:
    model = toy()
    policy, found = model.optimum(objective, lambda: model.counted(objective, counts(GOOD, UNIFORM, 30)))
    assert policy == close(expected)
    if loss is not None:
        assert found == close(loss)


def test_the_gradient_at_the_reference(toy: Any, counts: Any) -> None:
    model, objective = toy(), ULMA()
    loss, _ = objective.build(make_context()).loss(model.counted(objective, counts(GOOD, UNIFORM, 30)))
    assert model.gradient(loss) == close((-0.083333, 0.0, 0.083333))


def test_good_completions_that_are_no_demonstrations_keep_the_regularised_term(toy: Any) -> None:
    groups, labels = [[0, 1, 2]], [[1.0, 1.0, 0.0]]
    none, gradient = toy(MOVED).loss(ULMA(), groups, labels, [[False, False, False]])
    assert (none, gradient) == toy(MOVED).loss(PointwiseDPO(), groups, labels)
    one = toy(MOVED).loss(ULMA(), groups, labels, [[True, False, False]])[0]
    first, others = toy(MOVED).loss(SFT(demonstrations=All()), [[0]], [[1.0]])[0], [[1, 2]]
    assert 3 * one == close(first + 2 * toy(MOVED).loss(PointwiseDPO(), others, [[1.0, 0.0]])[0])


def test_continuous_labels_of_demonstrations_are_not_read(toy: Any) -> None:
    objective = ULMA(labels="continuous")
    one = toy(MOVED).loss(objective, [[0, 2]], [[0.3, -0.5]], [[True, False]])
    other = toy(MOVED).loss(objective, [[0, 2]], [[9.0, -0.5]], [[True, False]])
    assert one == other
    reward = -0.346574
    assert one[0] == close((-torch.tensor(0.6).log().item() + (-0.5 - reward) ** 2) / 2)


@pytest.mark.parametrize(("label", "shown"), [(0.9, 2.0), (0.91, 1.0), (1.0, 1.0), (2.0, 0.0)])
def test_a_rule_takes_labels_from_its_threshold_up(toy: Any, label: float, shown: float) -> None:
    """0.9 is not the same number in single precision; it is a demonstration all the same."""
    objective = ULMA(labels="continuous", demonstrations=AtLeast(label))
    _, logs = objective.build(make_context()).loss(toy().step(objective, [[0, 1, 2]], [[1.0, 0.9, 0.2]]))
    assert logs["demonstrations"] == shown
    assert logs["rated"] == 3.0 - shown


def test_a_demonstration_needs_no_label(toy: Any) -> None:
    given: Any = ([[0, 2]], [[None, 0.0]], [[True, False]])
    assert toy(MOVED).loss(ULMA(), *given) == toy(MOVED).loss(ULMA(), [[0, 2]], [[1.0, 0.0]], [[True, False]])
    _, logs = ULMA().build(make_context()).loss(toy().step(ULMA(), *given))
    assert (logs["demonstrations"], logs["positives"], logs["missing"]) == (1.0, 1.0, 0.0)


def test_an_absent_completion_is_no_demonstration(toy: Any) -> None:
    _, logs = ULMA().build(make_context()).loss(toy().step(ULMA(), [[0, -1]], [[1.0, None]], [[True, True]]))
    assert (logs["demonstrations"], logs["missing"]) == (1.0, 0.0)


def test_a_bad_demonstration_is_refused(toy: Any) -> None:
    step = toy().step(ULMA(), [[0, 1], [0, 2]], [[1.0, 0.0], [1.0, 0.0]], [[True, False], [True, True]])
    with pytest.raises(DataError, match=r"demonstration must have the label 1, but prompt 'x1' has one with 0\.0"):
        ULMA().build(make_context()).loss(step)


def test_a_source_that_breaks_its_promise_is_told(toy: Any) -> None:
    step = toy().step(ULMA(), [[0, 2]], [[1.0, 0.0]])
    with pytest.raises(ComponentError, match="judgments have no marks"):
        ULMA().build(make_context()).loss(step)


@pytest.mark.parametrize("label", [0.0, -1.0, 1.5])
def test_a_rule_that_takes_bad_labels_for_demonstrations_is_refused(label: float) -> None:
    with pytest.raises(ValueError, match=r"`demonstrations\.label` must be above 0 and at most 1"):
        ULMA(demonstrations=AtLeast(label))
    assert ULMA(labels="continuous", demonstrations=AtLeast(label)).needs()


def test_capabilities_follow_from_the_options() -> None:
    assert "demonstration" in ULMA().needs()
    assert "demonstration" not in ULMA(demonstrations=AtLeast(1.0)).needs()
    assert ULMA().accepts()["preference"] == {"label"}
    assert ULMA(labels="continuous").accepts()["preference"] == {"label", "score"}
    assert SFT(demonstrations=All()).needs() == {"policy_logprobs", "aggregator", "rollouts"}
    assert SFT(demonstrations=AtLeast(0.5)).accepts()["preference"] == {"label", "score"}


def test_logs(toy: Any) -> None:
    step = toy(MOVED).step(ULMA(), [[0, 1, 2]], [[1.0, 1.0, 0.0]], [[True, False, False]])
    _, logs = ULMA(partition=Constant(0.1)).build(make_context()).loss(step)
    numbers = {name: float(value) for name, value in logs.items()}
    rewards = (0.091161, 0.0, -0.346574)
    assert numbers == close(
        {
            "partition": 0.1,
            "nll_demonstration": -torch.tensor(0.6).log().item(),
            "demonstrations": 1.0,
            "positives": 2.0,
            "negatives": 1.0,
            "missing": 0.0,
            "reward_positive": (rewards[0] + rewards[1]) / 2,
            "reward_negative": rewards[2],
            "accuracy": 1.0,
            "reward_mean": sum(rewards) / 3,
            "pairs": 2.0,
            "pair_accuracy": 1.0,
            "margin": (rewards[0] + rewards[1]) / 2 - rewards[2],
        }
    )


def test_marks_are_read_as_they_are(toy: Any) -> None:
    model = toy()
    rollouts = model.rollouts([[0, 1, -1]])
    judged = Preferences.from_scores([[1.0, None, None]], "label")
    judged = attrs.evolve(judged, demonstration=torch.tensor([[False, True, True]]))
    step = model.step(ULMA(), [[0]], [[1.0]]).with_fields(rollouts=rollouts, preferences=judged)
    assert Marked().marked(step).tolist() == [[False, True, False]]
    assert All().marked(step).tolist() == [[True, True, False]]
    assert AtLeast(0.5).marked(step).tolist() == [[True, False, False]]
