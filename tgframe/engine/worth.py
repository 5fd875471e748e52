"""What completions are worth to the guidance, for whoever looks at it from outside an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from tgframe.interfaces.step import Guidance, Step

if TYPE_CHECKING:
    from tgframe.engine.state import Parts
    from tgframe.interfaces.batch import Rollouts
    from tgframe.interfaces.context import Runtime

POLICY_FIELDS = {"policy_logprobs": "logprobs", "policy_entropy": "entropy", "policy_hidden": "hidden"}


def scored(parts: Parts, step: Step, needs: frozenset[str]) -> Step:
    """Fill log-probabilities and their like, with gradient where it is enabled; the reference never has one."""
    fields: dict[str, Any] = {}
    wanted = {field: name for field, name in POLICY_FIELDS.items() if field in needs}
    if wanted:
        scores = parts.policy.score(step.rollouts, frozenset(wanted.values()) - {"logprobs"})
        fields = {field: getattr(scores, name) for field, name in wanted.items()}
    if "reference_logprobs" in needs:
        assert parts.reference is not None, "composing checks that the recipe has a reference"
        with torch.no_grad():
            fields["reference_logprobs"] = parts.reference.score(step.rollouts).logprobs
    return step.with_fields(**fields)


@attrs.frozen(eq=False)
class Worth:
    """Values completions by the guidance as it is now, without gradient."""

    parts: Parts
    runtime: Runtime

    def __call__(self, rollouts: Rollouts) -> Tensor:
        """Return aggregated values, float32 ``[B,K]``."""
        found = self.tokens(rollouts)
        assert self.parts.aggregator is not None, "asked only where there is one"
        return self.parts.aggregator.aggregate(found.values.float(), found.mask)

    @torch.no_grad()
    def tokens(self, rollouts: Rollouts) -> Guidance:
        """Return values and mask ``[B,K,T]``."""
        parts = self.parts
        assert parts.guidance is not None, "asked only where there is one"
        needs = parts.needs.get("guidance", frozenset())
        step = Step(rollouts.prompts).with_fields(rollouts=rollouts, aggregator=parts.aggregator)
        if "preferences" in needs:
            assert parts.preference is not None, "composing checks that the recipe has a preference"
            found = parts.preference.judge(rollouts).to(rollouts.tokens.device)
            step = step.with_fields(preferences=attrs.evolve(found, valid=found.valid & rollouts.present))
        with self.runtime.autocast():
            return parts.guidance.values(scored(parts, step, needs).read_by(parts.label("guidance")))
