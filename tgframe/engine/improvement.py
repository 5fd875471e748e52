"""Improvement: one update of the language model with dense guidance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tgframe.engine.guard import require_finite
from tgframe.engine.means import Means
from tgframe.engine.optimization import Updater
from tgframe.engine.samples import write_samples
from tgframe.engine.sharing import share
from tgframe.interfaces.sampler import Sampler
from tgframe.interfaces.specification import ABOUT_COMPLETIONS

if TYPE_CHECKING:
    from tgframe.engine.state import Run
    from tgframe.engine.step import StepFiller
    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.step import Step


class Improvement:
    """Samples, fills a step, asks the objective for its loss, updates the policy.

    A step is divided into parts by prompts: among the processes of the run, and each process's share again where the
    recipe accumulates. All parts are put together by what their losses are means over.
    """

    def __init__(self, run: Run, filler: StepFiller) -> None:
        self.run = run
        self.filler = filler
        parts = run.parts
        assert parts.objective is not None, "composing checks that there is an objective where there are steps"
        self.objective = parts.objective
        joint = parts.guidance.joint() if parts.guidance is not None else []
        parameters = [*parts.policy.trainable(), *self.objective.trainable(), *joint]
        self.updater = Updater(parameters, run.optimizers.policy, run.machine, "max", run.schedule.steps)
        self.divided = run.schedule.improve.accumulate > 1
        """Whether this process's share of a step is divided."""
        self.weighted = self.divided or not run.processes.alone
        """Whether a step has several parts."""
        self.models = ["policy", *(["guidance"] if parts.guidance and (joint or parts.guidance.differentiable) else [])]
        """Those that a gradient flows through."""
        self.followed = parts.sampler is not None and type(parts.sampler).sync is not Sampler.sync
        """Whether the sampler wants to know of updates."""
        self.samples = bool(parts.needs["objective"] & ABOUT_COMPLETIONS)

    def step(self) -> None:
        """Do one improvement step."""
        run, parts = self.run, self.run.parts
        with run.clock.phase("improve"):
            run.counters.step += 1
            prompts = parts.task.prompts(
                parts.policy, "train", run.schedule.improve.prompts, run.machine.generator("improve/data")
            )
            prompts = share(run, prompts)
            with run.whole(*self.models):
                rollouts = self._sample(prompts) if self.samples else None
                means = self._descend(prompts, rollouts)
            metrics = self._update(means)
            parts.policy.version += 1
            if self.followed:
                with run.whole("policy"):
                    self._tell_sampler(metrics)
        run.record("improve", metrics)

    def _tell_sampler(self, metrics: Mapping[str, Any]) -> None:
        parts = self.run.parts
        assert parts.sampler is not None
        parts.sampler.sync(parts.policy, {name: value for name, value in metrics.items() if value is not None})

    def _sample(self, prompts: Prompts) -> Rollouts:
        run = self.run
        assert run.parts.sampler is not None, "composing checks that there is a sampler where completions are needed"
        with run.whole("policy", *run.parts.used_by("sampler")):
            rollouts = run.parts.sampler.sample(
                run.parts.policy,
                prompts,
                run.schedule.improve.completions,
                run.machine.own_generator("improve/sampler"),
            )
        run.counters.sampled_tokens += run.processes.sum(int(rollouts.mask.sum()))
        return rollouts

    def _descend(self, prompts: Prompts, rollouts: Rollouts | None) -> Means:
        """Add the gradients of all parts of the step; return what they say, weighted by what each is a mean over."""
        who, means = self.run.parts.label("objective"), Means()
        for place, step in enumerate(self._parts(prompts, rollouts)):
            loss, logs = self._loss(step)
            weight = self.objective.denominator(step.read_by(who)) if self.weighted else 1.0
            self.updater.add(loss, weight)
            means.add({"loss": loss.detach(), **logs}, weight)
            if (
                place == 0
                and rollouts is not None
                and (self.run.counters.step - 1) % self.run.options.samples_every == 0
            ):
                write_samples(self.run, "improve", step)
        return means.of_all(self.run.processes)

    def _update(self, means: Means) -> dict[str, Any]:
        """Go down what was added; return what the metrics say."""
        who = self.run.parts.label("objective")
        norm = self.updater.step(means.weight or 1.0)
        require_finite(torch.as_tensor(norm), "gradient norm", who, self.run)
        return {**means.values(), "grad_norm": norm, "lr": self.updater.lr}

    def _parts(self, prompts: Prompts, rollouts: Rollouts | None) -> Iterator[Step]:
        """Yield the filled step, or its parts one after the other, so that only one takes memory."""
        if not self.divided:
            yield self.filler.improvement(prompts, rollouts)
            return
        judgments = None if rollouts is None else self.filler.judgments(rollouts)
        size = len(prompts) // self.run.schedule.improve.accumulate
        for first in range(0, len(prompts), size):
            rows = range(first, first + size)
            yield self.filler.improvement(
                prompts.rows(rows),
                None if rollouts is None else rollouts.rows(rows),
                None if judgments is None else judgments.rows(rows),
            )

    def _loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        run, parts = self.run, self.run.parts
        who = parts.label("objective")
        with run.machine.autocast():
            loss, logs = self.objective.loss(step.read_by(who))
            extra = parts.guidance.improve_loss(step.read_by(parts.label("guidance"))) if parts.guidance else None
        if extra is not None:
            loss = loss + extra
        require_finite(loss.detach(), "loss", who, run)
        return loss, logs
