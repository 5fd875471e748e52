"""Fills a step with exactly what the parts need, once, in the order in which it can be had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from tgframe.engine.guard import judged, require_finite
from tgframe.engine.state import used_for
from tgframe.engine.worth import scored
from tgframe.interfaces.step import Guidance, Step

if TYPE_CHECKING:
    from tgframe.engine.state import Run
    from tgframe.interfaces.batch import Preferences, Prompts, Rollouts

TARGETS = "targets."


class StepFiller:
    """Computes the fields of a step: log-probabilities, reference, preferences, guidance."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.parts = run.parts
        for part in self.parts.stateful().values():
            if isinstance(part, torch.nn.Module):
                part.eval()  # dropout is for a fit alone: log-probabilities and values must be those of the samples

    def judgments(self, rollouts: Rollouts) -> Preferences | None:
        """Return the judgments of the policy's completions, all at once; None where nobody in the step reads them."""
        return self._judged(rollouts) if "preferences" in self._with_guidance(self.parts.needs["objective"]) else None

    def improvement(self, prompts: Prompts, rollouts: Rollouts | None, preferences: Preferences | None = None) -> Step:
        """Return the step that the objective sees; ``rollouts`` is None when it needs no completions of the policy."""
        needs = self.parts.needs["objective"]
        step = Step(prompts)
        if preferences is not None:
            step = step.with_fields(preferences=preferences)
        if rollouts is not None:
            step = self._fill(step, rollouts, {need for need in needs if not need.startswith("targets")})
        if any(need.startswith("targets") for need in needs):
            assert prompts.targets is not None, "composing checks that the task provides targets"
            beyond = {need.removeprefix(TARGETS) for need in needs if need.startswith(TARGETS)}
            step = step.with_fields(targets=self._fill(Step(prompts), prompts.targets, beyond))
        return step

    def grounding(self, rollouts: Rollouts, preferences: Preferences) -> Step:
        """Return the step that the guidance is fitted on: judged rollouts, and what its values are made of."""
        step = Step(rollouts.prompts).with_fields(rollouts=rollouts, preferences=preferences)
        step = self._scored(step, self.parts.needs.get("guidance", frozenset()))
        return step.with_fields(aggregator=self.parts.aggregator)

    def values(self, step: Step) -> Guidance:
        """Return the guidance of a step, checked; in evaluation mode without gradient unless it flows to the policy."""
        guidance = self.parts.guidance
        assert guidance is not None, "composing checks that guidance is there where it is needed"
        who = self.parts.label("guidance")
        gradient = guidance.differentiable and torch.is_grad_enabled()
        with self.run.whole("guidance"), torch.set_grad_enabled(gradient), self.run.machine.autocast():
            found = guidance.values(step.read_by(who))
        require_finite(found.values, "values", who, self.run)
        return found

    def _fill(self, step: Step, rollouts: Rollouts, needs: set[str]) -> Step:
        step = step.with_fields(rollouts=rollouts)
        whole = self._with_guidance(needs)
        if "preferences" in whole and "preferences" not in step.filled:
            step = step.with_fields(preferences=self._judged(rollouts))
        if "aggregator" in whole:
            step = step.with_fields(aggregator=self.parts.aggregator)
        step = self._scored(step, whole)
        return step.with_fields(guidance=self.values(step)) if "guidance" in needs else step

    def _scored(self, step: Step, needs: frozenset[str]) -> Step:
        """Fill what policy and reference say. What a gradient flows through stays whole until it has, by the caller."""
        with self.run.whole(*used_for(needs - {"guidance"})):
            return scored(self.parts, step, needs)

    def _with_guidance(self, needs: Iterable[str]) -> frozenset[str]:
        """Return ``needs``, and those of the guidance where they name it."""
        wanted = frozenset(needs)
        return wanted | self.parts.needs.get("guidance", frozenset()) if "guidance" in wanted else wanted

    def _judged(self, rollouts: Rollouts) -> Preferences:
        assert self.parts.preference is not None, "composing checks that there is a preference"
        return judged(self.run, self.parts.preference.judge, rollouts)
