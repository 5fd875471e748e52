"""From token values to one value a completion."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from torch import Tensor


LengthEffect = Literal["none", "sum", "biased"]


class Aggregator(Specification["Aggregator"]):
    """Turns token values ``[B,K,T]`` into one value a completion, ``[B,K]``."""

    def provides(self) -> frozenset[str]:
        """Say how length is treated: ``length:none``, ``length:sum`` or ``length:biased``; ``linear`` where it is."""
        return frozenset({f"length:{self.length_effect()}"} | ({"linear"} if self.linear() else set()))

    @abstractmethod
    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return float ``[B,K]`` from float ``[B,K,T]`` values and bool ``[B,K,T]`` mask.

        Values off the mask are never read, gradients are finite for wholly masked tails, and a completion without a
        single marked position has the value 0.
        """

    def linear(self) -> bool:
        """Whether a completion's value is the sum, or the plain mean, of the values of its own tokens.

        Then it makes log-probabilities of completions of those of tokens: objectives that need these accept ``linear``.
        """
        return False

    @abstractmethod
    def length_effect(self) -> LengthEffect:
        """How a completion's own length changes its value when all its tokens are worth the same.

        ``none``: not at all; ``sum``: in proportion; ``biased``: some other way. Objectives whose mathematics needs a
        plain sum (importance weights) accept ``length:sum`` only.
        """
