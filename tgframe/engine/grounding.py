"""Grounding: fit the guidance so that its aggregated values agree with the preferences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe.engine.budget import spent
from tgframe.engine.collecting import Collector
from tgframe.engine.grounding_loss import PartLoss, WholeLoss
from tgframe.engine.guard import paid, require_finite
from tgframe.engine.optimization import Best, Updater
from tgframe.engine.pool import Judged, Pool
from tgframe.engine.ranking import agreement, subsets
from tgframe.engine.samples import write_samples
from tgframe.engine.sharing import own, places, whole_tensor
from tgframe.runtime.progress import progress

if TYPE_CHECKING:
    from tgframe.engine.state import Run
    from tgframe.engine.step import StepFiller
    from tgframe.interfaces.schedule import Ground
    from tgframe.interfaces.step import Guidance, Step


@attrs.define(eq=False)
class Fitting:
    """A fit by gradient that is under way."""

    updater: Updater
    best: Best
    done: int = 0
    """Grounding steps of this fit so far."""
    kept: dict[str, Any] | None = None
    """State of the guidance at the best validation."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {
            "updater": self.updater.state_dict(),
            "best": self.best.state_dict(),
            "done": self.done,
            "kept": self.kept,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.updater.load_state_dict(state["updater"])
        self.best.load_state_dict(state["best"])
        self.done, self.kept = state["done"], state["kept"]


class Grounding:
    """Fits the guidance model, again and again, from its own weights but with a fresh optimizer each time."""

    def __init__(
        self, run: Run, filler: StepFiller, options: Ground, after_step: Callable[[], None] = lambda: None
    ) -> None:
        guidance = run.parts.guidance
        assert guidance is not None, "composing checks that grounding has something to fit"
        self.run = run
        self.filler = filler
        self.options = options
        self.guidance = guidance
        self.models = ("guidance", *run.parts.used_by("guidance"))
        """Those that a fit computes with."""
        self.collector = Collector(run, options)
        self.pool = Pool(options.pool)
        self.fitting: Fitting | None = None
        """The fit under way."""
        self._after_step = after_step

    def fit(self) -> None:
        """Run one fit, or the rest of the one under way: ``steps`` updates, or fewer when validation says enough."""
        if self.fitting is None and self.guidance.trainable():
            self.fitting = self._begin()
        with self.run.clock.phase("ground"), progress("grounding", self.options.steps) as advance:
            if self.fitting is not None:
                advance(self.fitting.done)
                self._descend(self.fitting, advance)
            with self.run.whole("guidance", changed=True):
                logs = self.guidance.fit(self._fresh_steps(advance))
        self.fitting = None
        self.run.counters.fits += 1
        if logs:
            self.run.record("ground", {"fit": self.run.counters.fits, **logs}, at=self.run.counters.ground_step)

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered between steps."""
        fitting = None if self.fitting is None else self.fitting.state_dict()
        return {"pool": self.pool.state_dict(), "fitting": fitting, **self.collector.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.pool.load_state_dict(state["pool"], self.run.machine.device)
        self.collector.load_state_dict(state)
        self.fitting = None
        if state["fitting"] is not None:
            self.fitting = self._begin()
            self.fitting.load_state_dict(state["fitting"])

    def _begin(self) -> Fitting:
        total = self.options.steps * self.options.updates
        updater = Updater(self.guidance.trainable(), self.run.optimizers.guidance, self.run.machine, "min", total)
        return Fitting(updater, Best("min"))

    def _descend(self, fitting: Fitting, advance: Callable[[], None]) -> None:
        """Fit by gradient; validate, stop early and reload the best state where the recipe says so."""
        patience = None if self.options.validate is None else self.options.validate.patience
        while fitting.done < self.options.steps and not fitting.best.exhausted(patience) and self._affords_step():
            self._step(fitting.updater, goes_on=fitting.done + 1 < self.options.steps)
            fitting.done += 1
            advance()
            self._validate_if_due(fitting)
            self._after_step()
        self.collector.ahead = None  # of a fit that ended early: the next one is on a policy that has moved
        if fitting.kept is not None:
            with self.run.whole("guidance", changed=True):
                self.guidance.load_state_dict(fitting.kept)  # type: ignore[attr-defined]  # a module

    def _affords_step(self) -> bool:
        """Return whether there is something to learn from: paid for already, or within the budget."""
        return self.collector.ahead is not None or not spent(self.run)

    def _validate_if_due(self, fitting: Fitting) -> None:
        validate = self.options.validate
        if validate is None or fitting.done % validate.every:
            return
        if fitting.best.update(self._validate(fitting.updater)):
            with self.run.whole("guidance"):
                fitting.kept = copy.deepcopy(self.guidance.state_dict())  # type: ignore[attr-defined]  # a module

    def _fresh_steps(self, advance: Callable[[], None]) -> Iterator[Step]:
        """Sample and judge one batch for each step that ``GuidanceModel.fit`` takes."""
        for _ in range(self.options.steps):
            if spent(self.run):
                return
            self.run.counters.ground_step += 1
            fresh = self.collector.fresh()
            advance()
            yield self.filler.grounding(fresh.rollouts, fresh.preferences)

    def _step(self, updater: Updater, goes_on: bool = False) -> None:
        run = self.run
        run.counters.ground_step += 1
        fresh, costs = self.collector.fresh(), paid(run)
        with self.collector.judging_next(self.options.overlap and goes_on and not spent(run)):
            metrics = self._describe(fresh) | costs
            judged_so_far = self.pool.merged(fresh)
            for _ in range(self.options.updates):
                metrics |= self._update(updater, judged_so_far)
        run.record("ground", metrics, at=run.counters.ground_step)

    def _describe(self, fresh: Judged) -> dict[str, Any]:
        """Say how well the guidance ranks completions that it was not fitted on yet."""
        ours, preferences = own(self.run.processes, fresh), fresh.preferences
        step = self.filler.grounding(ours.rollouts, ours.preferences)
        guidance = self.filler.values(step)
        scores = whole_tensor(self.run.processes, self._aggregate(guidance))
        accuracy, tau = agreement(scores, preferences.values, preferences.valid)
        valid = preferences.values[preferences.valid]
        if (self.run.counters.ground_step - 1) % self.run.options.samples_every == 0:
            write_samples(self.run, "ground", step.with_fields(guidance=guidance))
        return {
            "ground_step": self.run.counters.ground_step,
            "fit": self.run.counters.fits + 1,
            "pairwise_accuracy": accuracy,
            "kendall_tau": tau,
            "preference_mean": float(valid.mean()) if len(valid) else None,
            "preference_best": float(valid.max()) if len(valid) else None,
            "missing": int((~preferences.valid).sum()),
        }

    def _update(self, updater: Updater, batch: Judged) -> dict[str, Any]:
        with self.run.whole(*self.models):
            found = self._add(updater, batch)
        if not found.learns:
            return {**found.logs, "loss": found.loss}
        norm = updater.step(found.weight or 1.0)
        return {**found.logs, "loss": found.loss, "grad_norm": norm, "lr": updater.lr}

    def _add(self, updater: Updater, batch: Judged) -> WholeLoss:
        """Add the gradient of this process's part of the loss; return the loss of the whole batch."""
        self.guidance.train()  # type: ignore[attr-defined]  # what has parameters is a module
        try:
            part = self._part(own(self.run.processes, batch), self._rankings(batch))
        finally:
            self.guidance.eval()  # type: ignore[attr-defined]
        require_finite(part.loss.detach(), "grounding loss", self.run.parts.label("guidance"), self.run)
        found = part.of_all(self.run.processes)
        if part.loss.requires_grad:
            updater.add(part.loss, 1.0 if self.run.processes.alone else part.weight)
        return found

    def _part(self, batch: Judged, rankings: Tensor | None) -> PartLoss:
        """Return the grounding loss of judged groups, with gradient to the guidance."""
        step = self.filler.grounding(batch.rollouts, batch.preferences)
        with self.run.machine.autocast():
            given = self.guidance.ground(step, rankings)
            if given is not None:
                return PartLoss.given(given, len(step.prompts))
            scores = self._aggregate(self.guidance.values(step))
        return PartLoss.ranked(scores, batch.preferences, rankings)

    def _rankings(self, batch: Judged) -> Tensor | None:
        """Draw the sub-rankings of the whole batch; return those of this process."""
        ranking, processes = self.options.ranking, self.run.processes
        groups, size = batch.preferences.values.shape
        if ranking.size is None or ranking.size >= size:
            return None
        generator = self.run.machine.generator("ground/rankings")
        drawn = subsets(size, ranking.size, ranking.count, generator, groups).to(batch.preferences.values.device)
        return drawn if processes.alone else drawn[places(processes, groups)]

    def _aggregate(self, guidance: Guidance) -> Tensor:
        assert self.run.parts.aggregator is not None
        return self.run.parts.aggregator.aggregate(guidance.values.float(), guidance.mask)

    @torch.no_grad()
    def _validate(self, updater: Updater) -> float:
        """Return the mean ranking loss on newly sampled, newly judged completions of another split."""
        validate = self.options.validate
        assert validate is not None
        assert self.run.parts.sampler is not None
        losses = []
        for _ in range(validate.batches):
            batch = self.collector.collect(self.run.parts.sampler, validate.split, "ground/validate")
            losses.append(self._loss_of_whole_groups(batch))
        loss = sum(losses) / len(losses)
        updater.validated(loss)
        row = {"ground_step": self.run.counters.ground_step, "validation_loss": loss, "lr": updater.lr}
        self.run.record("ground", row, at=self.run.counters.ground_step)
        return loss

    def _loss_of_whole_groups(self, batch: Judged) -> float:
        ours = own(self.run.processes, batch)
        with self.run.whole(*self.models):
            step = self.filler.grounding(ours.rollouts, ours.preferences)
            given = self.guidance.ground(step, None)
            if given is not None:
                part = PartLoss.given(given, len(step.prompts))
            else:
                part = PartLoss.ranked(self._aggregate(self.filler.values(step)), ours.preferences, None)
        return part.of_all(self.run.processes).loss
