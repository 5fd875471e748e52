"""Do the parts of a recipe fit together? Asked of the specifications, before a weight is loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import attrs

from tgframe.errors import ComponentError, did_you_mean
from tgframe.interfaces.schedule import Schedule
from tgframe.interfaces.specification import ABOUT_COMPLETIONS, Specification
from tgframe.recipe.plan import misplanned
from tgframe.recipe.schema import Recipe
from tgframe.registry.manager import Plugins

Answer = TypeVar("Answer")

SECTIONS = ("task", "policy", "objective", "sampler", "preference", "guidance", "aggregator", "reference")
"""Recipe keys whose parts answer to ``needs()``, ``provides()`` and ``accepts()`` (the reference only provides)."""
IMPLIED: dict[str, frozenset[str]] = {
    "policy": frozenset({"policy_logprobs", "policy_entropy", "policy_hidden"}),
    "sampler": frozenset({"rollouts"}),
    "preference": frozenset({"preferences"}),
    "guidance": frozenset({"guidance"}),
    "aggregator": frozenset({"aggregator"}),
    "reference": frozenset({"reference_logprobs"}),
}
"""What a section provides by being there."""
JUDGMENTS = frozenset({"rank", "score", "label"})
ALWAYS_READ = frozenset({"task", "policy", "objective", "sampler"})
"""The task's evaluation is given the sampler, so that it is read wherever it stands."""


@attrs.frozen
class Part:
    """A part of a recipe as the others see it."""

    key: str
    """Where it stands: ``objective``, ``schedule.ground.sampler``."""
    label: str
    """How messages call it: ``objective 'bandit'``."""
    needs: frozenset[str] = frozenset()
    provides: frozenset[str] = frozenset()
    accepts: Mapping[str, Collection[str]] = attrs.field(factory=dict)

    @property
    def offers(self) -> frozenset[str]:
        """What it provides to others: grounding's own sampler serves grounding alone."""
        return frozenset() if self.key == "schedule.ground.sampler" else self.provides


def misfits(recipe: Recipe, plugins: Plugins | None = None) -> list[tuple[str, str]]:
    """Return what does not fit as pairs of a recipe path and a message; nothing when all is well.

    ``plugins`` lets messages call components by their names. Raises ComponentError when a component's own answer is not
    of the right form.
    """
    parts = list(_parts(recipe, plugins))
    active = _active(parts)
    return [
        *_missing([part for part in parts if part.key in active], parts, plugins),
        *_unread([part for part in parts if part.key not in active]),
        *_unacceptable([part for part in parts if part.key in active], parts),
        *misplanned(recipe),
    ]


def _parts(recipe: Recipe, plugins: Plugins | None) -> Iterator[Part]:
    for key in SECTIONS:
        section = getattr(recipe, key)
        if isinstance(section, Specification):
            yield _part(key, key, section, plugins)
        elif section is not None:
            yield Part(key, key, provides=IMPLIED[key])
    yield from _schedule_parts(recipe.schedule, plugins)


def _schedule_parts(schedule: Schedule, plugins: Plugins | None) -> Iterator[Part]:
    """Grounding and validation need parts as any component does."""
    ground = schedule.ground
    if ground is not None:
        needs = {"guidance", "preferences", "aggregator"}
        if ground.sampler is None or ground.validate is not None:
            needs |= {"rollouts"}
        yield Part("schedule.ground", "grounding", frozenset(needs), frozenset({"grounding"}))
        if ground.sampler is not None:
            yield _part("schedule.ground.sampler", "sampler", ground.sampler, plugins)
    if schedule.evaluate is not None:
        needs, accepts = {"rollouts", "preferences"}, {"preference": frozenset({"score", "label"})}
        yield Part("schedule.evaluate", "validation", frozenset(needs), accepts=accepts)


def _part(path: str, kind: str, specification: Specification[Any], plugins: Plugins | None) -> Part:
    entry = plugins.find(specification) if plugins is not None else None
    label = f"{kind} {(entry.name if entry is not None else type(specification).__name__)!r}"
    needs = _ask(label, "needs", specification.needs, _capabilities)
    provides = _ask(label, "provides", specification.provides, _capabilities) | IMPLIED.get(kind, frozenset())
    if kind == "objective":
        needs |= {"rollouts"} if needs & ABOUT_COMPLETIONS else set()
    if kind == "preference" and not provides & JUDGMENTS:
        provides |= {"score"}
    if kind == "guidance" and getattr(specification, "differentiable", False):
        provides |= {"differentiable"}
    return Part(path, label, needs, provides, _ask(label, "accepts", specification.accepts, _restrictions))


def _ask(label: str, question: str, method: Callable[[], Any], read: Callable[[Any], Answer]) -> Answer:
    try:
        return read(method())
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ComponentError(f"`{question}()` of {label} must answer, but fails instead: {told}.") from error


def _capabilities(answer: Any) -> frozenset[str]:
    if isinstance(answer, str) or not all(isinstance(capability, str) for capability in answer):
        raise TypeError(f"it returned {answer!r}, not a frozenset of strings")
    return frozenset(answer)


def _restrictions(answer: Any) -> dict[str, frozenset[str]]:
    return {key: _capabilities(capabilities) for key, capabilities in answer.items()}


def _atoms(needs: Collection[str]) -> list[str]:
    """``targets.guidance`` is met by targets and guidance together."""
    return sorted({atom for need in needs for atom in need.split(".")})


WATCHED = frozenset({"guidance", "aggregator"})
"""What a task reads that provides ``guidance-evaluation``, where the recipe has it."""


def _active(parts: list[Part]) -> set[str]:
    """Keys of the parts that are read: those that always are, the schedule's, and whatever these need, and so on."""
    watched = WATCHED if any("guidance-evaluation" in part.offers for part in parts) else frozenset()
    always = ALWAYS_READ | (watched if any(part.key == "guidance" for part in parts) else frozenset())
    active: set[str] = set()
    waiting = [part for part in parts if part.key in always or part.key.startswith("schedule.")]
    while waiting:
        part = waiting.pop()
        if part.key not in active:
            active.add(part.key)
            wanted = set(_atoms(part.needs))
            waiting += [other for other in parts if other is not part and other.offers & wanted]
    return active


def _missing(active: list[Part], parts: list[Part], plugins: Plugins | None) -> Iterator[tuple[str, str]]:
    for part in active:
        others = [other.offers for other in parts if other is not part]
        provided = frozenset().union(*others)
        for need in _atoms(part.needs):
            if need not in provided:
                message = f"{part.label} needs `{need}`, but nothing in this recipe provides it."
                yield part.key, message + _add(need, plugins)


def _add(need: str, plugins: Plugins | None) -> str:
    """What to add so that somebody provides ``need``."""
    section = next((key for key, provides in IMPLIED.items() if need in provides), None)
    if section == "reference":
        return " Add a section `reference: {type: initial}`."
    if section is not None:
        installed = plugins.registries[section].suggestion("") if plugins is not None else ""
        return f" Add a section `{section}: {{type: …}}`.{installed}"
    known = {
        "targets": "Choose a task (or data) whose rows have targets.",
        "streams": "The engine opens no second data stream yet.",
        "grounding": "Add `ground` to `schedule`.",
        "exact": "Choose a sampler that draws exactly as the policy writes.",
        "differentiable": "Choose a guidance whose gradient flows to the policy.",
    }
    return f" {known.get(need, 'Choose a part that does.')}"


def _unread(parts: list[Part]) -> Iterator[tuple[str, str]]:
    for part in parts:
        offers = " or ".join(f"`{capability}`" for capability in sorted(IMPLIED[part.key]))
        yield part.key, f"`{part.key}` is read by no part of this recipe: none needs {offers}. Remove the section."


def _unacceptable(active: list[Part], parts: list[Part]) -> Iterator[tuple[str, str]]:
    for part in active:
        for key, capabilities in part.accepts.items():
            if key not in SECTIONS:
                message = f"{part.label} restricts {key!r}, which is no section of a recipe."
                yield part.key, f"{message}{did_you_mean(key, SECTIONS)} Tell the authors of its plugin."
            for other in parts:
                if _concerns(part, key, other) and not other.provides & frozenset(capabilities):
                    listed = " or ".join(f"`{capability}`" for capability in sorted(capabilities))
                    message = f"{other.label} must provide {listed} for {part.label}, but does not."
                    yield other.key, f"{message} Choose another one."


def _concerns(part: Part, key: str, other: Part) -> bool:
    """A restriction of samplers by other parts than the objective holds for grounding's own sampler, too."""
    own = key == "sampler" and part.key != "objective" and other.key == "schedule.ground.sampler"
    return other.key == key or own
