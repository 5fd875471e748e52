"""Improvement: one update of the language model with dense guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tgframe.engine.guard import require_finite
from tgframe.engine.optimization import Updater
from tgframe.engine.samples import write_samples
from tgframe.interfaces.specification import ABOUT_COMPLETIONS

if TYPE_CHECKING:
    from tgframe.engine.state import Run
    from tgframe.engine.step import StepFiller
    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.step import Step


class Improvement:
    """Samples, fills a step, asks the objective for its loss, updates the policy."""

    def __init__(self, run: Run, filler: StepFiller) -> None:
        self.run = run
        self.filler = filler
        parts = run.parts
        assert parts.objective is not None, "composing checks that there is an objective where there are steps"
        self.objective = parts.objective
        joint = parts.guidance.joint() if parts.guidance is not None else []
        parameters = [*parts.policy.trainable(), *self.objective.trainable(), *joint]
        self.updater = Updater(parameters, run.optimizers.policy, run.machine, "max")
        self.samples = bool(parts.needs["objective"] & ABOUT_COMPLETIONS)

    def step(self) -> None:
        """Do one improvement step."""
        run, parts = self.run, self.run.parts
        with run.clock.phase("improve"):
            run.counters.step += 1
            prompts = parts.task.prompts(
                parts.policy, "train", run.schedule.improve.prompts, run.machine.generator("improve/data")
            )
            rollouts = self._sample(prompts) if self.samples else None
            step = self.filler.improvement(prompts, rollouts)
            metrics = self._update(step)
            parts.policy.version += 1
            if parts.sampler is not None:
                parts.sampler.sync(parts.policy, {name: value for name, value in metrics.items() if value is not None})
            if rollouts is not None and (run.counters.step - 1) % run.options.samples_every == 0:
                write_samples(run, "improve", step)
        run.record("improve", metrics)

    def _sample(self, prompts: Prompts) -> Rollouts:
        run = self.run
        assert run.parts.sampler is not None, "composing checks that there is a sampler where completions are needed"
        rollouts = run.parts.sampler.sample(
            run.parts.policy, prompts, run.schedule.improve.completions, run.machine.generator("improve/sampler")
        )
        run.counters.sampled_tokens += int(rollouts.mask.sum())
        return rollouts

    def _update(self, step: Step) -> dict[str, Any]:
        run, parts = self.run, self.run.parts
        who = parts.label("objective")
        with run.machine.autocast():
            loss, logs = self.objective.loss(step.read_by(who))
            extra = parts.guidance.improve_loss(step.read_by(parts.label("guidance"))) if parts.guidance else None
        if extra is not None:
            loss = loss + extra
        require_finite(loss.detach(), "loss", who, run)
        norm = self.updater.update(loss)
        require_finite(torch.as_tensor(norm), "gradient norm", who, run)
        numbers = {name: float(value) for name, value in logs.items()}
        return {"loss": float(loss.detach()), **numbers, "grad_norm": norm, "lr": self.updater.lr}
