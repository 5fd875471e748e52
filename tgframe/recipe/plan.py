"""What a schedule asks for: settings of it that contradict each other, and what a run will cost."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import attrs

from tgframe.interfaces.policy import Policy
from tgframe.interfaces.schedule import Evaluate, Ground, Reference
from tgframe.interfaces.specification import ABOUT_COMPLETIONS
from tgframe.recipe.schema import Recipe


@attrs.frozen
class Cost:
    """What a run will do at most; early stopping makes it less. The task's own evaluation comes on top."""

    steps: int
    """Improvement steps."""
    fits: int
    """Groundings."""
    ground_steps: int
    """Grounding steps, over all groundings."""
    completions: int
    """Completions sampled."""
    judgments: int
    """Completions judged."""


def estimate(recipe: Recipe) -> Cost:
    """Return what the schedule of a recipe asks for."""
    schedule = recipe.schedule
    needs = recipe.objective.needs() if recipe.objective is not None else frozenset()
    sampled = schedule.steps * schedule.improve.prompts * schedule.improve.completions
    sampled = sampled if needs & ABOUT_COMPLETIONS else 0
    beneath = recipe.guidance.needs() if recipe.guidance is not None and "guidance" in needs else frozenset()
    judged = sampled if "preferences" in needs | beneath else 0
    fits = _fits(schedule.ground, schedule.steps)
    ground_steps = fits * schedule.ground.steps if schedule.ground is not None else 0
    both = fits * _completions_of_a_fit(schedule.ground) + _completions_of_validation(schedule.evaluate, schedule.steps)
    return Cost(schedule.steps, fits, ground_steps, sampled + both, judged + both)


def misplanned(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield settings that contradict each other, or do nothing, as pairs of a recipe path and a message."""
    schedule, optimizer = recipe.schedule, recipe.optimizer
    yield from _misplanned_steps(recipe)
    if schedule.ground is not None:
        yield from _misplanned_ground(schedule.ground)
    if optimizer.policy.plateau is not None and schedule.evaluate is None:
        yield _idle("optimizer.policy.plateau", "schedule.evaluate")
    if optimizer.guidance.plateau is not None and (schedule.ground is None or schedule.ground.validate is None):
        yield _idle("optimizer.guidance.plateau", "schedule.ground.validate")
    if recipe.reference is not None:
        yield from _misplanned_reference(recipe.reference, recipe.policy)
    yield from _misplanned_adapters(recipe)


def _misplanned_steps(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Improving takes an objective; without improving there must be grounding, and nothing that happens between."""
    schedule = recipe.schedule
    if schedule.steps > 0 and recipe.objective is None:
        missing = f"`objective` is missing, but `schedule.steps` is {schedule.steps}."
        yield "schedule.steps", f"{missing} Add `objective: {{type: …}}`, or write `steps: 0` to fit guidance alone."
    if schedule.steps > 0:
        return
    if recipe.objective is not None:
        message = "`objective` does nothing with `schedule.steps: 0`."
        yield "objective", f"{message} Write how many steps improve the policy, or remove the section."
    if schedule.ground is None:
        yield "schedule.steps", "`schedule.steps: 0` without `schedule.ground` does nothing. Add steps, or grounding."
    elif schedule.ground.every is not None:
        yield "schedule.ground.every", "`schedule.ground.every` does nothing with `schedule.steps: 0`. Remove it."
    if schedule.evaluate is not None:
        yield "schedule.evaluate", "`schedule.evaluate` does nothing with `schedule.steps: 0`. Remove it."


def _misplanned_ground(ground: Ground) -> Iterator[tuple[str, str]]:
    size = ground.ranking.size
    if size is not None and size > ground.completions:
        most = f"<= `schedule.ground.completions` ({ground.completions})"
        yield "schedule.ground.ranking.size", f"`schedule.ground.ranking.size` must be {most}, but is {size} instead."
    if ground.until is not None and ground.every is None:
        yield _idle("schedule.ground.until", "schedule.ground.every")


def _misplanned_reference(reference: Reference, policy: Policy) -> Iterator[tuple[str, str]]:
    kind = reference.type
    if kind == "model" and reference.model is None:
        yield "reference", "`reference.model` is missing. With `type: model` it must be a model name."
    if kind != "model" and reference.model is not None:
        message = f"`reference.model` must be left out with `type: {kind}`, but is {reference.model!r} instead."
        yield "reference.model", f"{message} Write `type: model` to use it."
    if kind == "adapters-off" and "adapters" not in policy.provides():
        message = "`reference.type` must not be 'adapters-off' with a policy that has no adapters."
        yield "reference.type", f"{message} Add `lora: {{}}` to `policy`, or write `type: initial`."


def _misplanned_adapters(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Told here, before a weight is loaded. Importing peft would take seconds, so it is only looked for."""
    if importlib.util.find_spec("peft") is not None:
        return
    for key in ("policy", "guidance"):
        if getattr(getattr(recipe, key), "lora", None) is not None:
            message = f"`{key}.lora` needs the package `peft`, which is not installed."
            yield f"{key}.lora", f'{message} Run `pip install "tgframe[lora]"`.'


def _idle(path: str, without: str) -> tuple[str, str]:
    return path, f"`{path}` does nothing without `{without}`. Add that, or remove this."


def _fits(ground: Ground | None, steps: int) -> int:
    """The first fit, and one every so many steps inside the window, none after the last step."""
    if ground is None:
        return 0
    if ground.every is None:
        return 1
    return 1 + min(steps - 1, ground.until if ground.until is not None else steps) // ground.every


def _completions_of_a_fit(ground: Ground | None) -> int:
    if ground is None:
        return 0
    validate = ground.validate
    batches = ground.steps + (ground.steps // validate.every * validate.batches if validate is not None else 0)
    return batches * ground.prompts * ground.completions


def _completions_of_validation(evaluate: Evaluate | None, steps: int) -> int:
    return 0 if evaluate is None else steps // evaluate.every * evaluate.prompts * evaluate.completions
