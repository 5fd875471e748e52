"""What a schedule costs, counted by walking through it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tgframe.interfaces.schedule import Evaluate, Ground, GroundValidate, Improve, Schedule
from tgframe.recipe.converter import make_converter
from tgframe.recipe.plan import estimate, misplanned
from tgframe.recipe.schema import Recipe

PARTS = {"task": "rows", "policy": "toy", "sampler": "draw", "preference": "count", "schedule": {"steps": 1}}


@pytest.fixture
def recipe(plugins):
    def recipe(schedule: Schedule, **parts: Any) -> Recipe:
        made = make_converter(plugins).structure({**PARTS, "objective": "dense", **parts}, Recipe)
        return attrs.evolve(made, schedule=schedule)

    return recipe


@pytest.mark.parametrize("steps", [1, 99, 100, 101, 300])
@pytest.mark.parametrize(("every", "until"), [(None, None), (100, None), (100, 150), (100, 99), (1, 5)])
def test_groundings(recipe, steps, every, until):
    again = [
        step for step in range(1, steps) if every is not None and step % every == 0 and (until is None or step <= until)
    ]
    ground = Ground(steps=7, every=every, until=until, prompts=2, completions=3)
    cost = estimate(recipe(Schedule(steps=steps, improve=Improve(prompts=4, completions=5), ground=ground)))
    assert cost.fits == 1 + len(again)
    assert cost.ground_steps == cost.fits * 7
    assert cost.judgments == cost.ground_steps * 6
    assert cost.completions == steps * 20 + cost.judgments


def test_validation_is_counted(recipe):
    ground = Ground(steps=10, prompts=1, completions=2, validate=GroundValidate(every=3, batches=5))
    evaluate = Evaluate(every=4, prompts=2, completions=3)
    cost = estimate(recipe(Schedule(steps=9, improve=Improve(completions=1), ground=ground, evaluate=evaluate)))
    assert cost.judgments == (10 + 3 * 5) * 2 + 2 * 6
    assert cost.completions == 9 + cost.judgments


@pytest.mark.parametrize(
    ("parts", "sampled", "judged"),
    [
        ({"objective": "bandit"}, 20, 20),
        ({"objective": "dense"}, 20, 0),
        ({"objective": {"type": "free", "need": ["targets.policy_logprobs"]}}, 0, 0),
    ],
)
def test_improvement_costs_what_the_objective_needs(recipe, parts, sampled, judged):
    cost = estimate(recipe(Schedule(steps=2, improve=Improve(prompts=1, completions=10)), **parts))
    assert (cost.completions, cost.judgments) == (sampled, judged)


GROUNDING = {"guidance": "worth", "aggregator": "soft", "objective": None}


def test_grounding_alone_costs_one_fit(recipe):
    cost = estimate(recipe(Schedule(steps=0, ground=Ground(steps=7, prompts=2, completions=3)), **GROUNDING))
    assert (cost.steps, cost.fits, cost.ground_steps, cost.judgments) == (0, 1, 7, 42)
    assert cost.completions == 42


@pytest.mark.parametrize(
    ("schedule", "parts", "path", "told"),
    [
        (
            Schedule(steps=3),
            {"objective": None},
            "schedule.steps",
            "`objective` is missing, but `schedule.steps` is 3.",
        ),
        (Schedule(steps=0, ground=Ground()), {}, "objective", "`objective` does nothing with `schedule.steps: 0`."),
        (Schedule(steps=0), GROUNDING, "schedule.steps", "without `schedule.ground` does nothing"),
        (Schedule(steps=0, ground=Ground(every=2)), GROUNDING, "schedule.ground.every", "does nothing"),
        (Schedule(steps=0, ground=Ground(), evaluate=Evaluate()), GROUNDING, "schedule.evaluate", "does nothing"),
    ],
)
def test_steps_and_objective_go_together(recipe, schedule, parts, path, told):
    found = dict(misplanned(recipe(schedule, **parts)))
    assert list(found) == [path]
    assert told in found[path]


def test_grounding_alone_is_well_planned(recipe):
    assert list(misplanned(recipe(Schedule(steps=0, ground=Ground()), **GROUNDING))) == []
