"""Partition terms: what they are, how fast they learn, whom they know, and when an estimate is legal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import torch

from tgframe import RecipeError
from tgframe.testing import FakeTask, TabularPolicy, make_context
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.partition.fixed import Constant, Zero
from tgframe_ulma.partition.learned import Learned, PerPrompt
from tgframe_ulma.partition.monte_carlo import MonteCarlo

BETA, REWARDS, MOVED = 0.5, (1.0, 0.2, -0.5), (0.6, 0.3, 0.1)


def close(expected: Any, tolerance: float = 1e-6) -> Any:
    return pytest.approx(expected, abs=tolerance)


def estimate(model: Any, term: MonteCarlo, group: Sequence[int], missing: Sequence[int] = (), **more: Any) -> Any:
    """Return the constant of one group of true draws, and whether it is usable."""
    objective = PointwiseDPO(labels="continuous", partition=term)
    labels = [None if place in missing else REWARDS[y] for place, y in enumerate(group)]
    step = model.step(objective, [group], [labels], **more)
    drawn = attrs.evolve(step.rollouts, sample_logprobs=model.policy.score(step.rollouts).logprobs.detach(), exact=True)
    step = step.with_fields(rollouts=drawn)
    return float(term.constants(step)), bool(term.usable(step))


@pytest.mark.parametrize("start", [(0.5, 0.3, 0.2), MOVED])
def test_the_estimate_is_right_on_average_wherever_the_policy_is(toy: Any, start: Any) -> None:
    """Over all draws of two completions, exp(c / beta) is Z = 4.215651: weights undo that the policy has moved."""
    model, total = toy(start), 0.0
    for group in itertools.product(range(3), repeat=2):
        chance = math.prod(model.probabilities[y] for y in group)
        total += chance * math.exp(estimate(model, MonteCarlo(BETA), group)[0] / BETA)
    assert total == close(4.215651, 1e-5)


def test_with_draws_of_the_reference_it_is_the_plain_formula(toy: Any) -> None:
    expected = BETA * math.log(sum(math.exp(r / BETA) for r in REWARDS) / 3)
    assert estimate(toy(MOVED), MonteCarlo(BETA, "reference"), (0, 1, 2)) == (close(expected), True)
    assert estimate(toy(), MonteCarlo(BETA), (0, 1, 2)) == (close(expected), True)


def test_missing_labels_are_left_out_and_one_is_not_enough(toy: Any) -> None:
    two, _ = estimate(toy(), MonteCarlo(BETA), (0, 1))
    assert estimate(toy(), MonteCarlo(BETA), (0, 1, 2), missing=[2]) == (close(two), True)
    assert estimate(toy(), MonteCarlo(BETA), (0, 1), missing=[1]) == (0.0, False)
    objective = PointwiseDPO(labels="continuous", partition=MonteCarlo(BETA, "reference"))
    model = toy(MOVED)
    loss, logs = objective.build(make_context()).loss(model.step(objective, [[0, 1]], [[1.0, None]]))
    assert (loss.item(), logs["missing"]) == (0.0, 2.0)


def test_the_estimate_has_no_gradient(toy: Any) -> None:
    model = toy(MOVED)
    objective = PointwiseDPO(labels="continuous", partition=MonteCarlo(BETA, "reference"))
    assert not objective.partition.constants(model.step(objective, [[0, 1]], [[1.0, 0.2]])).requires_grad


def test_another_beta_is_refused(toy: Any) -> None:
    with pytest.raises(RecipeError, match=r"`objective\.partition\.beta` must be the beta.*but with 0\.3"):
        estimate(toy(MOVED), MonteCarlo(0.3), (0, 1))


def test_draws_that_are_not_true_are_refused(toy: Any) -> None:
    objective = PointwiseDPO(labels="continuous", partition=MonteCarlo(BETA))
    step = toy().step(objective, [[0, 1]], [[1.0, 0.2]])
    with pytest.raises(RecipeError, match="must be given true draws"):
        objective.build(make_context()).loss(step)
    assert objective.accepts()["sampler"] == {"exact"}
    assert objective.accepts()["aggregator"] == {"length:sum"}
    assert "sampler" not in PointwiseDPO(labels="continuous", partition=MonteCarlo(BETA, "reference")).accepts()


def test_classes_are_no_rewards() -> None:
    with pytest.raises(ValueError, match="must not read labels as rewards"):
        PointwiseDPO(partition=MonteCarlo(BETA))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_speed_multiplies_the_steps_and_leaves_the_gradient(toy: Any, optimizer: Any) -> None:
    moved, gradients = [], []
    for speed in (1.0, 50.0):
        objective = PointwiseDPO(partition=Learned(start=0.25, speed=speed))
        part, model = objective.build(make_context()), toy()
        step = model.step(objective, [[0, 1]], [[1.0, 1.0]])
        before = float(part.partition.constants(step).detach())
        assert before == close(0.25)
        optimizer = optimizer if callable(optimizer) else type(optimizer)
        update = optimizer(part.trainable(), lr=1e-3)
        part.loss(step)[0].backward()
        gradients.append(float(part.partition.slow.grad))
        update.step()
        moved.append(float(part.partition.constants(step).detach()) - before)
    assert gradients[0] == close(gradients[1])
    assert moved[1] == close(50 * moved[0], 1e-5)
    assert moved[0] > 0


def test_every_prompt_has_its_own_constant_and_strangers_the_mean(toy: Any) -> None:
    objective = PointwiseDPO(partition=PerPrompt(speed=10.0))
    context = make_context(policy=TabularPolicy("ab"), task=FakeTask(("a", "b", "ab")))
    part = objective.build(context)
    with torch.no_grad():
        part.partition.slow.copy_(torch.tensor([0.1, 0.2, 0.6]))
    model = toy()
    step = model.step(objective, [[0]] * 4, [[1.0]] * 4)
    known = attrs.evolve(step.prompts, ids=("prompt-2", "prompt-0", "stranger", "prompt-1"))
    step = attrs.evolve(step, prompts=known)
    found = part.partition.constants(step)
    assert found.squeeze(-1).tolist() == close([6.0, 1.0, 3.0, 2.0], 1e-5)
    (gradient,) = torch.autograd.grad(found[2].sum() + 0 * found.sum(), part.partition.slow)
    assert gradient.tolist() == [0.0, 0.0, 0.0]
    (gradient,) = torch.autograd.grad(part.partition.constants(step)[0].sum(), part.partition.slow)
    assert gradient.tolist() == [0.0, 0.0, 1.0]


def test_constants_are_kept_in_the_state(toy: Any) -> None:
    context = make_context(policy=TabularPolicy("ab"), task=FakeTask())
    part = PointwiseDPO(partition=PerPrompt()).build(context)
    assert {name: tuple(value.shape) for name, value in part.state_dict().items()} == {"partition.slow": (3,)}
    assert PointwiseDPO(partition=Constant(1.0)).build(context).state_dict() == {}
    assert PointwiseDPO(partition=Zero()).build(context).trainable() == []
