"""How the language model is improved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tgframe.interfaces.policy import Decoding, Policy
    from tgframe.interfaces.step import Step


class LMObjective(Specification["LMObjective"]):
    """The loss of one improvement step. Its ``needs()`` decides what the engine computes."""

    @abstractmethod
    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return the scalar loss (to be minimised) and logs (numbers or scalar tensors, detached)."""

    def denominator(self, step: Step) -> float:
        """Return what the loss is a mean over: real tokens, pairs, prompts (as it is here), counted in ``step``.

        Where a step is divided (``schedule.improve.accumulate``, several processes), its parts are put together in
        this proportion, so that the update is that of the whole.
        """
        return float(len(step.prompts))

    def prepare(self, policy: Policy) -> None:
        """Change the policy before anything else sees it: grow the vocabulary, add control tokens."""

    def decoding(self, policy: Policy) -> Decoding | None:
        """Prefix and banned tokens when the improved policy is used; None for nothing special."""
        return None

    def trainable(self) -> list[torch.nn.Parameter]:
        """The objective's own parameters (a learned constant, a value head), updated with the policy."""
        return []
