"""Validation with the true preference during training, and the result at the end."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch

from tgframe.engine.guard import judged, paid
from tgframe.engine.optimization import Best, Updater
from tgframe.engine.state import MODELS
from tgframe.engine.worth import Worth
from tgframe.errors import ComponentError
from tgframe.runtime.files import plain
from tgframe.runtime.progress import progress

if TYPE_CHECKING:
    from tgframe.engine.state import Parts, Run
    from tgframe.interfaces.context import Runtime
    from tgframe.interfaces.schedule import Evaluate
    from tgframe.interfaces.task import Evaluation


class Validation:
    """Samples from the policy, asks the true preference, and remembers the best policy."""

    def __init__(self, run: Run, options: Evaluate, updater: Updater) -> None:
        self.run = run
        self.options = options
        self.updater = updater
        self.best = Best("max")
        self.kept: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, and the policy that reached it."""
        checkpoint = self.run.best_checkpoint
        return {
            "best": self.best.state_dict(),
            "kept": self.kept,
            "checkpoint": None if checkpoint is None else checkpoint.name,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.best.load_state_dict(state["best"])
        self.kept = state["kept"]
        name = state.get("checkpoint")
        self.run.best_checkpoint = None if name is None else self.run.files.checkpoints_folder / name

    @torch.no_grad()
    def validate(self) -> None:
        """Validate once: one row of metrics, the learning-rate plateau, the best state."""
        run, parts, options = self.run, self.run.parts, self.options
        with run.clock.phase("validate"), run.whole("policy", *parts.used_by("sampler", "preference")):
            tokens, found = run.processes.from_main(self._judged)
        run.counters.sampled_tokens += tokens
        mean = found["preference_mean"]
        better = self.best.update(mean)
        if better:
            run.best_checkpoint = run.last_checkpoint
        if better and options.keep == "best":
            with run.whole("policy"):
                self.kept = copy.deepcopy(parts.policy.state_dict())  # type: ignore[attr-defined]  # a policy is a module
        self.updater.validated(mean)
        run.record("evaluate", {"split": options.split, **found, **paid(run), "lr": self.updater.lr})

    def _judged(self) -> tuple[int, dict[str, Any]]:
        """Sample and judge; return how many tokens were sampled, and what the metrics say of the judgments."""
        run, parts, options = self.run, self.run.parts, self.options
        assert parts.sampler is not None
        assert parts.preference is not None
        prompts = parts.task.prompts(
            parts.policy, options.split, options.prompts, run.machine.generator("validate/data")
        )
        rollouts = parts.sampler.sample(
            parts.policy, prompts, options.completions, run.machine.generator("validate/sampler")
        )
        preferences = judged(run, parts.preference.judge, rollouts)
        values = preferences.values[preferences.valid]
        return int(rollouts.mask.sum()), {
            "preference_mean": float(values.mean()) if len(values) else float("nan"),
            "preference_best": float(values.max()) if len(values) else None,
            "missing": int((~preferences.valid).sum()),
        }

    def exhausted(self) -> bool:
        """Return whether improvement should stop."""
        return self.best.exhausted(self.options.patience)

    def restore(self) -> None:
        """Put the best policy back, where the recipe asks for it and a validation has seen one."""
        if self.kept is not None:
            with self.run.whole("policy", changed=True):
                self.run.parts.policy.load_state_dict(self.kept)  # type: ignore[attr-defined]


class Scoreboard:
    """Collects what every system reached on the test split: ``eval.jsonl`` rows and the scores of ``result.json``.

    The main process evaluates; the others wait for it, and have no scores.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.split = run.schedule.test_split
        self.scores: dict[str, dict[str, float]] = {}
        self.details: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return what has been collected."""
        return {"scores": self.scores, "details": plain(self.details)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.scores, self.details = state["scores"], state["details"]

    def evaluated(self, system: str) -> bool:
        """Return whether ``system`` was evaluated."""
        return any(system in values for values in self.scores.values()) or system in self.details

    def evaluate_policy(self, system: str) -> None:
        """Evaluate the policy and the guidance as they are now under the name ``system``."""
        with self.run.whole(*MODELS), self.run.processes.agreed():
            if self.run.machine.is_main:
                self._evaluate_policy(system)

    def _evaluate_policy(self, system: str) -> None:
        with self.run.clock.phase(f"evaluate {system}"), progress(f"evaluating {system}", None):
            generator = self.run.machine.generator(f"evaluate/{system}")
            self._add(system, evaluated(self.run.parts, self.run.machine, self.split, generator))

    def evaluate_systems(self) -> None:
        """Evaluate what else the task compares with, each on its own clock."""
        with self.run.whole(*MODELS), self.run.processes.agreed():
            if self.run.machine.is_main:
                self._evaluate_systems()

    def _evaluate_systems(self) -> None:
        parts = self.run.parts
        sampler: Any = parts.sampler
        generator = self.run.machine.generator("evaluate/systems")
        systems = iter(parts.task.systems(parts.policy, sampler, self.split, generator))
        while True:
            with self.run.clock.phase("evaluate next"), progress("evaluating baselines", None):
                found = next(systems, None)
            spent = self.run.clock.seconds.pop("evaluate next")
            if found is None:
                return
            self.run.clock.seconds[f"evaluate {found[0]}"] = spent
            self._add(*found)

    def _add(self, system: str, evaluation: Evaluation) -> None:
        for metric, value in evaluation.scores.items():
            self.scores.setdefault(metric, {})[system] = value
        if evaluation.details:
            self.details[system] = dict(evaluation.details)
        for item in evaluation.items:
            self.run.files.evaluations.write({"system": system, "split": self.split, **item})
        self.run.record("evaluate", {"system": system, "split": self.split, **evaluation.scores})


def evaluated(parts: Parts, runtime: Runtime, split: str, generator: torch.Generator) -> Evaluation:
    """Return what the task says of the policy and, where there is guidance, of the guidance.

    Raises :class:`~tgframe.errors.ComponentError` when both give a score of the same name.
    """
    # Tasks that decode in their own way go without a sampler, so that it may be None.
    sampler: Any = parts.sampler
    found = parts.task.evaluate(parts.policy, sampler, split, generator)
    if parts.guidance is None or parts.aggregator is None:
        return found
    more = parts.task.evaluate_guidance(Worth(parts, runtime), parts.policy, sampler, split, generator)
    if more is None:
        return found
    if both := found.scores.keys() & more.scores.keys():
        raise ComponentError(f"{parts.label('task')} scores policy and guidance under one name: {sorted(both)}.")
    return attrs.evolve(
        found,
        scores={**found.scores, **more.scores},
        items=[*found.items, *more.items],
        details={**found.details, **more.details},
    )
