"""Pair-wise DPO."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from torch import Tensor
from torch.nn.functional import logsigmoid

from tgframe import LMObjective, RecipeError, Step
from tgframe_ulma.logs import means, reward_logs
from tgframe_ulma.pairs import margins, ordered
from tgframe_ulma.reduction import mean_over
from tgframe_ulma.sequences import ACCEPTED, rewards


@attrs.frozen
class DPO(LMObjective):
    """Direct preference optimization over every strictly ordered pair of a prompt's completions.

    ``L = mean over pairs of -log sigmoid(reward of the better - reward of the worse)``; what depends on the prompt
    alone cancels. Two completions a prompt are the usual form; of more, all pairs count alike. Beta is the guidance's.
    Ties, missing judgments and absent completions make no pair; a batch without a pair has the loss 0.
    Source: Rafailov et al. 2023, Direct Preference Optimization.
    """

    def needs(self) -> frozenset[str]:
        return frozenset({"guidance", "differentiable", "preferences", "aggregator"})

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return ACCEPTED

    def denominator(self, step: Step) -> float:
        return float(ordered(step).sum())

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return the loss, a scalar, and logs. Raises :class:`~tgframe.RecipeError` where groups hold no two."""
        reward, better = rewards(step), ordered(step)
        if step.rollouts.k < 2:
            raise RecipeError(
                "`schedule.improve.completions` must be >= 2 with objective 'dpo', which learns from pairs, but is "
                f"{step.rollouts.k} instead. Raise it, or learn from single completions with 'pointwise-dpo'."
            )
        loss = mean_over(-logsigmoid(margins(reward)), better)
        wide = reward.unsqueeze(-1).expand_as(better)
        sides = means(wide, {"reward_better": better, "reward_worse": better.transpose(-1, -2)})
        return loss, {**reward_logs(step, reward), **sides}
