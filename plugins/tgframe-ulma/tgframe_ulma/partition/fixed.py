"""Partition terms that never change."""

from __future__ import annotations

import attrs
from torch import Tensor

from tgframe import Step
from tgframe_ulma.partition.term import Partition, PartitionTerm


@attrs.frozen
class Constant(Partition, PartitionTerm):
    """One given number for all prompts."""

    value: float
    """The number, in units of reward: beta log Z, not log Z."""

    def constants(self, step: Step) -> Tensor:
        return step.preferences.values.new_tensor(self.value)


@attrs.frozen
class Zero(Partition, PartitionTerm):
    """Nothing is added, as in the released code.

    This holds the mean of exp(reward / beta) under the reference at 1, so that the share of good labels and beta act on
    each other: where most labels are good, completions that the data has rarely are pushed down without a judgment.
    """

    def constants(self, step: Step) -> Tensor:
        return step.preferences.values.new_zeros(())
