"""Implicit guidance: the policy is its own reward model."""

from __future__ import annotations

import attrs
from attrs.validators import gt

from tgframe import Guidance, GuidanceModel, Step


@attrs.frozen
class Implicit(GuidanceModel):
    """Values a token by beta times the log-ratio of policy and reference. There is nothing to fit.

    ``r_t = beta (log pi(y_t | x, y_<t) - log ref(y_t | x, y_<t))``, with gradient to the policy. Its sum over a
    completion is, up to a constant of the prompt, the reward whose KL-regularised optimum the policy is. At the start,
    where the policy is the reference, it is 0 everywhere.
    Source: Rafailov et al. 2023, Direct Preference Optimization.
    """

    beta: float = attrs.field(default=0.1, validator=gt(0.0))
    """Strength of the pull to the reference, in units of reward per nat."""
    differentiable = True

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "reference_logprobs"})

    def values(self, step: Step) -> Guidance:
        """Return values float ``[B,K,T]``, with gradient, and the mask of all real tokens."""
        mask = step.rollouts.mask
        ratio = step.policy_logprobs - step.reference_logprobs
        return Guidance((self.beta * ratio).masked_fill(~mask, 0.0), mask)
