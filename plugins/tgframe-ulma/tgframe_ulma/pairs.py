"""Pairs of completions of one prompt, of which one is strictly better."""

from __future__ import annotations

from torch import Tensor

from tgframe import Step


def judged(step: Step) -> Tensor:
    """Return bool ``[B,K]``: completions that are there and have a judgment."""
    return step.preferences.valid & step.rollouts.present


def ordered(step: Step) -> Tensor:
    """Return bool ``[B,K,K]``: True at ``[b,i,j]`` where completion ``i`` is judged strictly better than ``j``."""
    values, known = step.preferences.values, judged(step)
    return (values.unsqueeze(-1) > values.unsqueeze(-2)) & known.unsqueeze(-1) & known.unsqueeze(-2)


def margins(rewards: Tensor) -> Tensor:
    """Return ``[B,K,K]`` from rewards ``[B,K]``: by how much ``i`` is ahead of ``j``."""
    return rewards.unsqueeze(-1) - rewards.unsqueeze(-2)
