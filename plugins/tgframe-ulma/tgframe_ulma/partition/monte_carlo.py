"""A partition term that is estimated from the completions of each prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import attrs
import torch
from attrs.validators import gt, in_
from torch import Tensor

from tgframe import RecipeError, Step
from tgframe_ulma.pairs import judged
from tgframe_ulma.partition.term import Partition, PartitionTerm


@attrs.frozen
class MonteCarlo(Partition, PartitionTerm):
    """``beta log mean_k w_k exp(r_k / beta)`` over the completions of a prompt, with their labels for ``r``.

    The mean estimates ``Z(x) = E_ref exp(r / beta)`` without bias where the labels are the rewards themselves and the
    weights ``w_k = ref(y_k) / q(y_k)`` make draws from ``q`` stand for draws from the reference; its logarithm is too
    small on average, the more so the fewer completions there are. A prompt with fewer than two judged ones has none.
    """

    beta: float = attrs.field(validator=gt(0.0))
    """The beta of the guidance. Another one is refused at the first step that shows it."""
    draws: Literal["exact", "reference"] = attrs.field(default="exact", validator=in_(("exact", "reference")))
    """``exact``: the sampler draws truly, and says with which probability; weights follow from that. ``reference``: you
    know that the completions, from wherever they come, were drawn from the reference; all weights are 1."""
    reads_labels: ClassVar[bool] = True

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "reference_logprobs", "guidance"})

    def accepts(self) -> Mapping[str, frozenset[str]]:
        summed = {"aggregator": frozenset({"length:sum"})}  # a mean over tokens is no log-probability of a completion
        return {**summed, "sampler": frozenset({"exact"})} if self.draws == "exact" else summed

    def constants(self, step: Step) -> Tensor:
        """Return float ``[B,1]``, without gradient; 0 where the estimate is not usable."""
        self._require_same_beta(step)
        known = judged(step)
        terms = step.preferences.values / self.beta + self._log_weights(step)
        terms = terms.masked_fill(~known, -math.inf).masked_fill(~self.usable(step), 0.0)
        count = known.sum(-1, keepdim=True).clamp(min=1)
        found = self.beta * (terms.logsumexp(-1, keepdim=True) - count.log())
        return torch.where(self.usable(step), found, 0.0)

    def usable(self, step: Step) -> Tensor:
        return judged(step).sum(-1, keepdim=True) >= 2

    @torch.no_grad()
    def _log_weights(self, step: Step) -> Tensor:
        """Return ``log ref(y) - log q(y)`` of each completion, float ``[B,K]``."""
        if self.draws == "reference":
            return torch.zeros_like(step.preferences.values)
        rollouts = step.rollouts
        if not rollouts.exact or rollouts.sample_logprobs is None:
            raise RecipeError(
                "`objective.partition` must be given true draws with `draws: exact`, but the sampler's completions are "
                "none (are tokens banned?). Draw without truncation, or choose another partition term."
            )
        return (step.reference_logprobs - rollouts.sample_logprobs).sum(-1)

    @torch.no_grad()
    def _require_same_beta(self, step: Step) -> None:
        values = step.guidance.values.sum(-1)
        expected = self.beta * (step.policy_logprobs - step.reference_logprobs).sum(-1)
        if not torch.allclose(values, expected, rtol=1e-2, atol=1e-3):
            raise RecipeError(
                f"`objective.partition.beta` must be the beta of implicit guidance, but with {self.beta!r} the values "
                "of this recipe's guidance are not beta times the log-ratio. Write the same number in both places."
            )
