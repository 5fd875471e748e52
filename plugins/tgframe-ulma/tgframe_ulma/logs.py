"""What objectives report of a batch. A mean over nothing is left out, never 0 or NaN."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tgframe import Step
from tgframe_ulma.pairs import judged, margins, ordered
from tgframe_ulma.reduction import mean_over


def means(numbers: Tensor, where: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
    """Return, by name, the means of the numbers over each place (bool, of their shape) that is not empty."""
    return {name: mean_over(numbers.detach(), place) for name, place in where.items() if place.any()}


def counts(where: Mapping[str, Tensor]) -> dict[str, Tensor | float]:
    """Return, by name, how many are True."""
    return {name: float(place.sum()) for name, place in where.items()}


def accuracy(ahead: Tensor, where: Tensor, name: str) -> dict[str, Tensor | float]:
    """Return the share of ``ahead`` over 0 where ``where`` is True, ties counted half."""
    return means((ahead > 0).to(ahead) + 0.5 * (ahead == 0).to(ahead), {name: where})


def reward_logs(step: Step, rewards: Tensor) -> dict[str, Tensor | float]:
    """Return what implicit rewards ``[B,K]`` make of the judgments: their mean, and the pairs in the right order.

    The mean is beta times the mean log-ratio of policy and reference on the data.
    """
    known, better = judged(step), ordered(step)
    ahead = margins(rewards.detach())
    return {
        **means(rewards, {"reward_mean": known}),
        **accuracy(ahead, better, "pair_accuracy"),
        **means(ahead, {"margin": better}),
        **counts({"pairs": better, "missing": step.rollouts.present & ~known}),
    }
