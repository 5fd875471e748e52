"""What a partition term is: a choice in the recipe, and the part that it becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tgframe import Choice, Step


class PartitionTerm(ABC):
    """Stands for ``c(x) = beta log Z(x)``, in units of reward: it is added to every completion of a prompt."""

    @abstractmethod
    def constants(self, step: Step) -> Tensor:
        """Return float ``[B,1]``, or a scalar for all prompts."""

    def usable(self, step: Step) -> Tensor:
        """Return bool ``[B,1]``: False for prompts without a constant, whose completions then teach nothing."""
        return torch.ones_like(step.rollouts.present[:, :1])

    def trainable(self) -> list[torch.nn.Parameter]:
        """Parameters that are updated with the policy."""
        return []


class Partition(Choice[PartitionTerm]):
    """What stands for the intractable ``beta log Z(x)``."""

    choices: ClassVar[Mapping[str, str]] = {
        "zero": "tgframe_ulma.partition.fixed:Zero",
        "constant": "tgframe_ulma.partition.fixed:Constant",
        "learned": "tgframe_ulma.partition.learned:Learned",
        "per-prompt": "tgframe_ulma.partition.learned:PerPrompt",
        "monte-carlo": "tgframe_ulma.partition.monte_carlo:MonteCarlo",
    }
    reads_labels: ClassVar[bool] = False
    """True when labels are taken as rewards: then they must be numbers, not classes."""
