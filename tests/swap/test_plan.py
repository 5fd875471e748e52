"""The cells of a swap, its baseline, and everything that is refused before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tgframe.errors import RecipeError
from tgframe.swap.plan import Plan
from tgframe.swap.table import show_plan

MakePlan = Callable[..., Plan]


def ids(plan: Plan) -> list[str]:
    return [cell.id for cell in plan.cells]


def mistakes(plan: MakePlan, *vary: str, **options: Any) -> Sequence[str]:
    with pytest.raises(RecipeError) as caught:
        plan(*vary, **options)
    return caught.value.mistakes


def test_cells_are_the_product_and_the_recipe_s_own_is_the_baseline(plan: MakePlan) -> None:
    found = plan("task.rights=8,10,12", "objective.weight=0.5,1")
    assert ids(found) == [
        f"task.rights={rights},objective.weight={weight}" for rights in (8, 10, 12) for weight in (0.5, 1)
    ]
    assert found.baseline.id == "task.rights=10,objective.weight=1"
    assert sum(cell.baseline for cell in found.cells) == 1
    assert found.baseline.settings == {"task.rights": "10", "objective.weight": "1"}


def test_without_the_own_setting_the_first_cell_is_the_baseline(plan: MakePlan) -> None:
    assert plan("task.rights=8,12").baseline.id == "task.rights=8"
    assert plan("task.rights=8,12", overrides=["task.rights=12"]).baseline.id == "task.rights=12"


def test_the_own_setting_is_known_however_it_is_written(plan: MakePlan) -> None:
    assert plan("sampler={type: plain, longest: 3},plain").baseline.id == "sampler=plain"
    assert plan("sampler={type: plain, longest: 3},{type: plain, longest: 6}").cells[1].baseline


def test_one_at_a_time_changes_one_key_of_the_recipe(plan: MakePlan) -> None:
    found = plan("task.rights=8,10,12", "objective.weight=2", one_at_a_time=True)
    assert ids(found) == [
        "task.rights=10,objective.weight=1.0",
        "task.rights=8,objective.weight=1.0",
        "task.rights=12,objective.weight=1.0",
        "task.rights=10,objective.weight=2",
    ]
    assert found.baseline is found.cells[0]
    assert [run.resolved["task"]["rights"] for run in found.runs[:4]] == [10, 8, 12, 10]
    assert [run.resolved["objective"]["weight"] for run in found.runs[:4]] == [1.0, 1.0, 1.0, 2.0]


def test_runs_go_seed_by_seed_and_hold_the_whole_recipe(plan: MakePlan) -> None:
    found = plan(
        "task.rights=8,10",
        overrides=["task.seconds=0.5"],
        seeds="3,5",
        seed_keys=["sampler.longest"],
        budget=["preference_calls=9"],
    )
    assert [(run.cell.id, run.seed) for run in found.runs] == [
        ("task.rights=8", 3),
        ("task.rights=10", 3),
        ("task.rights=8", 5),
        ("task.rights=10", 5),
    ]
    run = found.runs[2]
    assert run.overrides == (
        "task.seconds=0.5",
        "schedule.budget.preference_calls=9",
        "task.rights=8",
        "runtime.seed=5",
        "sampler.longest=5",
    )
    assert run.resolved["runtime"]["seed"] == 5
    assert run.resolved["schedule"]["budget"]["preference_calls"] == 9
    assert run.resolved["task"]["seconds"] == 0.5
    assert run.resolved["sampler"]["longest"] == 5
    assert run.folder == "cells/task.rights=8/seed-5"


def test_a_changed_type_replaces_its_mapping(plan: MakePlan, tmp_path: Path) -> None:
    Path("short.yaml").write_text("type: plain\nlongest: 2\n", encoding="utf-8")
    found = plan(
        "sampler={type: top-k, top_k: 2, max_new_tokens: 3},@short.yaml", overrides=["sampler.longest=9"], seeds="1"
    )
    assert [run.resolved["sampler"]["type"] for run in found.runs] == ["top-k", "plain"]
    assert "longest" not in found.runs[0].resolved["sampler"]
    assert found.runs[1].resolved["sampler"] == {"type": "plain", "longest": 2}
    assert ids(found)[1] == "sampler=@short.yaml"


def test_folders_are_names_that_every_disk_takes_and_that_differ(plan: MakePlan) -> None:
    long = "{type: plain, longest: 1" + "0" * 120 + "}"
    found = plan(
        f"sampler={{type: plain, longest: 3}},{{type: plain, longest:  3 , }},{long}".replace(":  3 , ", ": 4")
    )
    folders = [cell.folder for cell in found.cells]
    assert len(set(folders)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_.=,+-]{1,120}", folder) for folder in folders)
    assert all(folder.startswith("sampler=") for folder in folders)


def test_every_mistake_of_every_cell_is_told_at_once(plan: MakePlan) -> None:
    found = mistakes(plan, "sampler=plain,plan,topk", "objective.weight=1,heavy")
    assert len(found) == 3
    by_part = {part: [line for line in found if part in line] for part in ("'plan'", "'topk'", "'heavy'")}
    (plan_line,), (topk_line,), (heavy_line,) = by_part.values()
    assert plan_line.startswith(
        "cells 'sampler=plan,objective.weight=1', 'sampler=plan,objective.weight=heavy': override"
    )
    assert "Did you mean 'plain'?" in plan_line
    assert "Did you mean 'top-k'?" in topk_line
    assert "`objective.weight` must be a number, but is 'heavy' instead" in heavy_line


def test_a_mistake_of_the_recipe_is_told_once(plan: MakePlan) -> None:
    (line,) = mistakes(plan, "task.rights=8,10", overrides=["objective.wait=1"])
    assert line.startswith("every cell: ")
    assert "Did you mean 'weight'?" in line
    (line,) = mistakes(plan, "task.rights=8", overrides=["objective.wait=1"])
    assert line.startswith("cell 'task.rights=8': ")
    (line,) = mistakes(plan, "task.rights=8,12", seed_keys=["task.data_seed"])
    assert "`task.data_seed` is not an option" in line
    assert mistakes(plan, "task.rights=8,x", one_at_a_time=True)


def test_cells_that_are_one_recipe_are_refused(plan: MakePlan) -> None:
    (line,) = mistakes(plan, "sampler=plain,{type: plain}")
    assert line == "cells 'sampler=plain' and 'sampler={type: plain}' are the same recipe. Remove one of the values."


def test_a_budget_that_is_not_there_is_told(plan: MakePlan) -> None:
    (line,) = mistakes(plan, "task.rights=8,12", budget=["calls=3"])
    assert "`schedule.budget.calls`" in line


def test_the_plan_says_what_it_costs(plan: MakePlan) -> None:
    lines = show_plan(plan("schedule.steps=1,200", seeds="3")).splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["schedule.steps=1", "*", "1", "0", "2", "0"],
        ["schedule.steps=200", "200", "0", "400", "0"],
        ["all", "cells,", "3", "seeds", "603", "0", "1,206", "0"],
    ]


def test_whole_recipes_are_exchanged_under_the_key_recipe(plan: MakePlan) -> None:
    Path("shy.yaml").write_text("extends: toy.yaml\nobjective: {weight: 0.5}\nschedule: {steps: 3}\n")
    found = plan("recipe=shy.yaml,toy.yaml", "task.rights=8,10", overrides=["task.seconds=0.5"])
    assert ids(found) == [
        f"recipe={recipe},task.rights={rights}" for recipe in ("shy.yaml", "toy.yaml") for rights in (8, 10)
    ]
    assert found.baseline.id == "recipe=toy.yaml,task.rights=10"
    assert [str(cell.recipe) for cell in found.cells] == ["shy.yaml"] * 2 + ["toy.yaml"] * 2
    run = found.runs[0]
    assert (run.resolved["objective"]["weight"], run.resolved["schedule"]["steps"]) == (0.5, 3)
    assert (run.resolved["task"]["rights"], run.resolved["task"]["seconds"]) == (8, 0.5)


def test_another_recipe_is_one_change_among_those_made_one_at_a_time(plan: MakePlan) -> None:
    Path("shy.yaml").write_text("extends: toy.yaml\nobjective: {weight: 0.5}\n")
    found = plan("task.rights=8", "recipe=shy.yaml", one_at_a_time=True)
    assert ids(found) == [
        "task.rights=10,recipe=toy.yaml",
        "task.rights=8,recipe=toy.yaml",
        "task.rights=10,recipe=shy.yaml",
    ]
    assert [run.resolved["objective"]["weight"] for run in found.runs[:3]] == [1.0, 1.0, 0.5]


def test_a_recipe_that_is_not_there_is_told_with_its_name(plan: MakePlan) -> None:
    [message] = mistakes(plan, "recipe=toy.yaml,absent.yaml")
    assert "cell 'recipe=absent.yaml'" in message
    assert "absent.yaml" in message.removeprefix("cell 'recipe=absent.yaml'")
