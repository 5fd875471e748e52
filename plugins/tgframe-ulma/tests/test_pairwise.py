"""DPO over pairs: its optimum, its gradient, and what it has in common with points at the first step."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tgframe import RecipeError
from tgframe.testing import make_context
from tgframe_ulma.objectives.dpo import DPO
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.objectives.ulma import ULMA

MOVED = (0.6, 0.3, 0.1)
BEST = (0.992343, 0.007351, 0.000306)


def close(expected: Any, tolerance: float = 1e-6) -> Any:
    return pytest.approx(expected, abs=tolerance)


def test_all_pairs_lead_to_the_optimum_of_points_with_the_exact_constant(toy: Any) -> None:
    """Rewards logit(0.9), logit(0.5), logit(0.2) have odds 9, 1, 1/4: pairs are won 9 of 10, 4 of 5, 36 of 37 times."""
    groups = [[0, 1]] * 10 + [[1, 2]] * 5 + [[0, 2]] * 37
    ranks = [[1.0, 0.0]] * 9 + [[0.0, 1.0]] + [[1.0, 0.0]] * 4 + [[0.0, 1.0]] + [[1.0, 0.0]] * 36 + [[0.0, 1.0]]
    model, objective = toy(), DPO()
    policy, _ = model.optimum(objective, lambda: model.step(objective, groups, ranks))
    assert policy == close(BEST, 1e-5)


def test_loss_and_gradient_of_a_pair(toy: Any) -> None:
    loss, gradient = toy(MOVED).loss(DPO(), [[0, 2]], [[1.0, 0.0]])
    assert loss == close(0.498043)
    assert gradient == close((-0.196140, 0.0, 0.196140))
    assert toy().loss(DPO(), [[0, 2]], [[1.0, 0.0]])[1] == close((-0.25, 0.0, 0.25))


def test_points_do_at_the_first_step_what_pairs_do(toy: Any) -> None:
    """Balanced, the mean over one good and the mean over one bad completion are added: the sum of both gradients."""
    assert toy().loss(PointwiseDPO(balance=True), [[0, 2]], [[1.0, 0.0]])[1] == close((-0.25, 0.0, 0.25))


def test_later_steps_differ(toy: Any) -> None:
    given: Any = ([[0, 2]], [[1.0, 0.0]], [[True, False]])
    assert toy(MOVED).loss(PointwiseDPO(balance=True), *given)[1] == close((-0.219709, 0.009452, 0.210257))
    assert toy(MOVED).loss(ULMA(balance=True), *given)[1] == close((-0.524264, 0.237868, 0.286396))


def test_a_group_of_three_is_the_mean_of_its_three_pairs(toy: Any) -> None:
    ranks = (2.0, 1.0, 0.0)
    whole, gradient = toy(MOVED).loss(DPO(), [[0, 1, 2]], [ranks])
    pairs = [toy(MOVED).loss(DPO(), [[i, j]], [[ranks[i], ranks[j]]]) for i, j in itertools.combinations(range(3), 2)]
    assert whole == close(sum(loss for loss, _ in pairs) / 3)
    assert gradient == close([sum(found[y] for _, found in pairs) / 3 for y in range(3)])


def test_the_mean_is_over_pairs_not_over_groups(toy: Any) -> None:
    three, two = (
        toy(MOVED).loss(DPO(), [[0, 1, 2]], [[2.0, 1.0, 0.0]])[0],
        toy(MOVED).loss(DPO(), [[0, 2]], [[1, 0]])[0],
    )
    both, _ = toy(MOVED).loss(DPO(), [[0, 1, 2], [0, 2, -1]], [[2.0, 1.0, 0.0], [1.0, 0.0, None]])
    assert both == close((3 * three + two) / 4)


@pytest.mark.parametrize(
    ("group", "judgments"),
    [([0, 2], [1.0, 1.0]), ([0, 2], [1.0, None]), ([0, -1], [1.0, 0.0]), ([0, 2], [None, None])],
    ids=["tied", "one missing", "one absent", "all missing"],
)
def test_without_a_pair_the_loss_is_zero_and_says_so(toy: Any, group: Any, judgments: Any) -> None:
    model = toy(MOVED)
    loss, logs = DPO().build(make_context()).loss(model.step(DPO(), [group], [judgments]))
    assert loss.item() == 0.0
    assert model.gradient(loss) == [0.0, 0.0, 0.0]
    assert logs["pairs"] == 0.0
    assert not {"pair_accuracy", "margin", "reward_better"} & set(logs)


def test_logs_of_pairs(toy: Any) -> None:
    step = toy(MOVED).step(DPO(), [[0, 2], [2, 1], [0, 1]], [[1.0, 0.0], [1.0, 0.0], [1.0, None]])
    _, logs = DPO().loss(step)
    rewards = (0.091161, 0.0, -0.346574)
    numbers = {name: float(value) for name, value in logs.items()}
    assert numbers == close(
        {
            "reward_mean": (2 * rewards[0] + rewards[1] + 2 * rewards[2]) / 5,
            "reward_better": (rewards[0] + rewards[2]) / 2,
            "reward_worse": (rewards[2] + rewards[1]) / 2,
            "margin": (rewards[0] - rewards[1]) / 2,
            "pair_accuracy": 0.5,
            "pairs": 2.0,
            "missing": 1.0,
        }
    )


def test_at_the_reference_every_pair_is_a_tie(toy: Any) -> None:
    _, logs = DPO().loss(toy().step(DPO(), [[0, 2]], [[1.0, 0.0]]))
    assert float(logs["pair_accuracy"]) == 0.5


def test_groups_of_one_are_refused(toy: Any) -> None:
    with pytest.raises(RecipeError, match=r"`schedule\.improve\.completions` must be >= 2 .* but is 1 instead"):
        DPO().loss(toy().step(DPO(), [[0], [1]], [[1.0], [0.0]]))
