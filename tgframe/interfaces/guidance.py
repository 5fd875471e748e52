"""Token-level guidance: every token's worth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tgframe.interfaces.step import Guidance, Step


class GuidanceModel(Specification["GuidanceModel"]):
    """Values tokens so that their aggregate agrees with the preferences: learned, implicit, or fixed."""

    differentiable: ClassVar[bool] = False
    """True when gradient flows through the values to the policy (implicit guidance). Otherwise the engine computes them
    in evaluation mode without gradient. Objectives that cannot do without it need ``"differentiable"``."""

    @abstractmethod
    def values(self, step: Step) -> Guidance:
        """Return values and mask ``[B,K,T]`` for ``step.rollouts``."""

    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]] | None:
        """Return a grounding loss (scalar) and logs, or None for the engine's Plackett-Luce ranking loss.

        ``step`` holds rollouts, preferences, aggregator, and what the guidance's own ``needs()`` names; ``rankings``
        int64 ``[B,M,J]`` picks the sub-rankings to learn from, None means whole groups.
        """
        return None

    def fit(self, steps: Iterator[Step]) -> Mapping[str, float]:
        """Fit what no gradient step fits (moments, normalisers), at the end of every grounding; return logs.

        ``steps`` samples and judges one batch for each item that is taken, ``schedule.ground.steps`` of them at most
        where there is nothing to train by gradient; take none, and nothing is sampled.
        """
        return {}

    def improve_loss(self, step: Step) -> Tensor | None:
        """Return a scalar term that is added to the improvement loss (a value head trained jointly), or None."""
        return None

    def trainable(self) -> list[torch.nn.Parameter]:
        """Parameters that grounding updates; empty when there is nothing to fit."""
        return []

    def joint(self) -> list[torch.nn.Parameter]:
        """Parameters that improvement updates together with the policy."""
        return []
