"""Needs, offers and restrictions over whole recipes."""

from __future__ import annotations

from typing import Any

import pytest

from tgframe.errors import ComponentError
from tgframe.recipe.converter import make_converter
from tgframe.recipe.fit import misfits
from tgframe.recipe.schema import Recipe

BASE: dict[str, Any] = {"task": "rows", "policy": "toy", "sampler": "draw", "schedule": {"steps": 10}}
DENSE = BASE | {
    "objective": "dense",
    "guidance": "worth",
    "preference": "count",
    "aggregator": "soft",
    "schedule": {"steps": 10, "ground": {}},
}
BANDIT = BASE | {"objective": "bandit", "preference": "count"}


def needing(*needs: str, **accept: list[str]) -> dict[str, Any]:
    return {"objective": {"type": "free", "need": list(needs), "accept": accept}}


@pytest.fixture
def told(plugins):
    """Return path and message of every misfit of a recipe."""
    converter = make_converter(plugins)

    def told(recipe: dict[str, Any]) -> list[tuple[str, str]]:
        return misfits(converter.structure({key: part for key, part in recipe.items() if part}, Recipe), plugins)

    return told


@pytest.mark.parametrize(
    "recipe",
    [
        DENSE,
        BANDIT,
        BANDIT | {"sampler": {"type": "draw", "exact": True}},
        DENSE | {"schedule": {"steps": 1, "ground": {"sampler": "picky"}}},
        # trained on targets, so that the sampler serves grounding and evaluation only
        DENSE | {"task": {"type": "rows", "targets": True}} | needing("targets.guidance", "targets.policy_logprobs"),
        # grounding alone reads guidance, aggregator and preference
        DENSE | needing("policy_logprobs"),
        # implicit guidance has nothing to ground
        BASE | {"guidance": "ratio", "reference": "initial", "objective": "dense"},
        BASE | {"guidance": "ratio", "reference": "initial"} | needing("guidance", "differentiable"),
        BASE | {"preference": "count", "schedule": {"steps": 1, "evaluate": {}}} | needing(),
        BASE | {"preference": "ranks"} | needing("preferences", "rank"),
        BASE
        | {"aggregator": "plain", "guidance": "worth"}
        | needing("guidance", "aggregator", aggregator=["length:sum"]),
        BASE | {"sampler": None} | needing(),
        BASE
        | {"task": {"type": "rows", "targets": True}, "sampler": None}
        | needing("targets", "targets.policy_logprobs"),
        BASE | {"sampler": {"type": "draw", "exact": True}} | needing("exact", "rollouts", sampler=["exact"]),
        BASE | needing(guidance=["differentiable"]),  # a restriction asks for nothing
        BASE | {"reference": {"type": "model", "model": "gpt2"}} | needing("reference_logprobs"),
    ],
)
def test_what_fits(told, recipe):
    assert told(recipe) == []


@pytest.mark.parametrize(
    ("recipe", "paths"),
    [
        (BANDIT | {"preference": None}, ["objective"]),
        (BANDIT | {"sampler": None}, ["objective"]),
        (BASE | {"sampler": None} | needing("policy_entropy"), ["objective"]),
        (BASE | {"sampler": None} | needing("rollouts"), ["objective"]),
        (BASE | needing("targets.policy_logprobs"), ["objective"]),
        (BASE | {"task": {"type": "rows", "targets": True}} | needing("targets.guidance"), ["objective"]),
        (BASE | needing("streams"), ["objective"]),
        (BASE | needing("exact"), ["objective"]),
        (BASE | needing("magic"), ["objective"]),
        (BASE | needing("reference_logprobs"), ["objective"]),
        (
            DENSE
            | needing("guidance", "grounding")
            | {"schedule": {"steps": 1}, "aggregator": None, "preference": None},
            ["objective"],
        ),
        (BASE | {"guidance": "ratio", "objective": "dense"}, ["guidance"]),
        (DENSE | needing("guidance", "differentiable"), ["objective"]),
        # sections that nobody reads
        (BANDIT | {"guidance": "worth"}, ["guidance"]),
        (BANDIT | {"aggregator": "soft"}, ["aggregator"]),
        (BANDIT | {"reference": "initial"}, ["reference"]),
        (BASE | {"preference": "count"} | needing(), ["preference"]),
        (BANDIT | {"guidance": "ratio", "reference": "initial"}, ["guidance", "reference"]),
        (DENSE | {"schedule": {"steps": 1}}, ["preference", "aggregator"]),
        # grounding
        (DENSE | {"guidance": None}, ["objective", "schedule.ground"]),
        (BANDIT | {"schedule": {"steps": 1, "ground": {}}}, ["schedule.ground", "schedule.ground"]),
        (DENSE | {"preference": None}, ["schedule.ground"]),
        (DENSE | {"aggregator": None}, ["schedule.ground"]),
        (DENSE | {"sampler": None} | needing("targets"), ["objective", "schedule.ground"]),
        (DENSE | {"sampler": None, "schedule": {"steps": 1, "ground": {"sampler": "draw"}}} | needing(), []),
        (
            DENSE
            | {"sampler": None, "schedule": {"steps": 1, "ground": {"sampler": "draw", "validate": {}}}}
            | needing(),
            ["schedule.ground"],
        ),
        # grounding's own sampler serves grounding alone
        (DENSE | {"sampler": None, "schedule": {"steps": 1, "ground": {"sampler": "draw"}}}, ["objective"]),
        (
            DENSE
            | {"schedule": {"steps": 1, "ground": {"sampler": {"type": "draw", "exact": True}}}}
            | needing("guidance", "exact"),
            ["objective"],
        ),
        # validation
        (BASE | {"schedule": {"steps": 1, "evaluate": {}}} | needing(), ["schedule.evaluate"]),
        (BANDIT | {"preference": "ranks", "schedule": {"steps": 1, "evaluate": {}}}, ["preference"]),
        (
            BASE | {"sampler": None, "preference": "count", "schedule": {"steps": 1, "evaluate": {}}} | needing(),
            ["schedule.evaluate"],
        ),
        # restrictions
        (BANDIT | needing("preferences", sampler=["exact"]), ["sampler"]),
        (BANDIT | {"preference": "ranks"} | needing("preferences", preference=["score", "label"]), ["preference"]),
        (DENSE | needing("guidance", "aggregator", aggregator=["length:sum"]), ["aggregator"]),
        (DENSE | needing("guidance", guidance=["differentiable"]), ["guidance"]),
        (BANDIT | needing("preferences", samplr=["exact"]), ["objective"]),
        # settings
        (
            DENSE | {"schedule": {"steps": 1, "ground": {"completions": 4, "ranking": {"size": 5}}}},
            ["schedule.ground.ranking.size"],
        ),
        (DENSE | {"schedule": {"steps": 1, "ground": {"until": 4}}}, ["schedule.ground.until"]),
        (BANDIT | {"optimizer": {"policy": {"plateau": {}}}}, ["optimizer.policy.plateau"]),
        (DENSE | {"optimizer": {"guidance": {"plateau": {}}}}, ["optimizer.guidance.plateau"]),
        (BASE | {"reference": {"model": "gpt2"}} | needing("reference_logprobs"), ["reference.model"]),
        (BASE | {"reference": {"type": "model"}} | needing("reference_logprobs"), ["reference"]),
    ],
)
def test_what_does_not(told, recipe, paths):
    found = told(recipe)
    assert sorted(path for path, _ in found) == sorted(paths), found
    assert all(message.endswith(".") and "\n" not in message for _, message in found)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            BANDIT | {"preference": None},
            "objective 'bandit' needs `preferences`, but nothing in this recipe provides it."
            " Add a section `preference: {type: …}`."
            " Installed: count, dataset, first, function, ranks, veto, weighted-sum.",
        ),
        (
            BASE | needing("reference_logprobs"),
            "objective 'free' needs `reference_logprobs`, but nothing in this recipe provides it."
            " Add a section `reference: {type: initial}`.",
        ),
        (
            BASE | needing("targets"),
            "objective 'free' needs `targets`, but nothing in this recipe provides it."
            " Choose a task (or data) whose rows have targets.",
        ),
        (
            DENSE | {"aggregator": None},
            "grounding needs `aggregator`, but nothing in this recipe provides it."
            " Add a section `aggregator: {type: …}`. Installed: gone, mean, plain, soft, sum.",
        ),
        (
            BANDIT | {"guidance": "worth"},
            "`guidance` is read by no part of this recipe: none needs `guidance`. Remove the section.",
        ),
        (
            BANDIT | {"preference": "ranks", "schedule": {"steps": 1, "evaluate": {}}},
            "preference 'ranks' must provide `label` or `score` for validation, but does not. Choose another one.",
        ),
        (
            BANDIT | needing("preferences", samplr=["exact"]),
            "objective 'free' restricts 'samplr', which is no section of a recipe. Did you mean 'sampler'?"
            " Tell the authors of its plugin.",
        ),
        (
            DENSE | {"schedule": {"steps": 1, "ground": {"completions": 4, "ranking": {"size": 5}}}},
            "`schedule.ground.ranking.size` must be <= `schedule.ground.completions` (4), but is 5 instead.",
        ),
    ],
)
def test_how_it_is_said(told, recipe, message):
    assert message in [text for _, text in told(recipe)]


def test_without_plugins_parts_go_by_their_class(plugins):
    recipe = make_converter(plugins).structure({**BASE, "objective": "bandit"}, Recipe)
    assert misfits(recipe)[0][1].startswith("objective 'Bandit' needs `preferences`")


@pytest.mark.parametrize("answer", ["guidance", 3, [1]])
def test_an_answer_of_the_wrong_form_names_its_component(plugins, monkeypatch, answer):
    recipe = make_converter(plugins).structure(BANDIT, Recipe)
    monkeypatch.setattr(type(recipe.objective), "needs", lambda self: answer)
    with pytest.raises(
        ComponentError, match=r"`needs\(\)` of objective 'bandit' must answer, but fails instead: TypeError"
    ):
        misfits(recipe, plugins)


def test_guidance_that_the_task_evaluates_is_read(told):
    watched = BASE | {"guidance": "ratio", "aggregator": "soft", "reference": "initial"} | needing("policy_logprobs")
    assert {path for path, _ in told(watched)} == {"guidance", "aggregator", "reference"}
    evaluated = watched | {"task": {"type": "rows", "evaluates": True}}
    assert told(evaluated) == []
    assert {path for path, _ in told({**evaluated, "reference": None})} == {"guidance"}
    assert {path for path, _ in told({**evaluated, "guidance": None, "reference": None})} == {"aggregator"}
