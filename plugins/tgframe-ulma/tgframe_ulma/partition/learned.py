"""Partition terms that are learned together with the policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import torch
from attrs.validators import gt
from torch import Tensor, nn

from tgframe import Step
from tgframe_ulma.partition.term import Partition, PartitionTerm

if TYPE_CHECKING:
    from tgframe import Context


@attrs.frozen
class Learned(Partition):
    """One learned number for all prompts."""

    start: float = 0.0
    """Its value before training, in units of reward."""
    speed: float = attrs.field(default=100.0, validator=gt(0.0))
    """How many times faster than the policy's weights it moves: it shares their optimizer, whose learning rate is far
    too small for a number that has to travel by whole units."""

    def build(self, context: Context) -> LearnedTerm:
        return LearnedTerm((), self.start, self.speed).to(context.runtime.device)


@attrs.frozen
class PerPrompt(Partition):
    """One learned number for each prompt of the task's train split, by prompt id.

    Where the ids of a task stand for rows, two rows with one prompt have a number each. A prompt whose completions are
    all good, or all bad, drives its number without bound and teaches the policy ever less.
    """

    start: float = 0.0
    """Value of all numbers before training, in units of reward."""
    speed: float = attrs.field(default=100.0, validator=gt(0.0))
    """How many times faster than the policy's weights they move (see ``learned``)."""

    def build(self, context: Context) -> LearnedTerm:
        prompts = context.task.prompts(context.policy, "train", None, context.generator("partition"))
        return LearnedTerm(prompts.ids, self.start, self.speed).to(context.runtime.device)


class LearnedTerm(nn.Module, PartitionTerm):
    """A number for each of ``ids``; where there are none, one for all prompts."""

    def __init__(self, ids: Sequence[str], start: float, speed: float) -> None:
        super().__init__()
        self.places = {key: place for place, key in enumerate(sorted(set(ids)))}
        self.speed = speed
        self.slow = nn.Parameter(torch.full((max(1, len(self.places)),), start / speed))

    def constants(self, step: Step) -> Tensor:
        """Return float ``[B,1]``; prompts that are not among ``ids`` have the mean of all numbers, without gradient."""
        # The value is `speed` times the parameter, the gradient that of the parameter: whatever the optimizer, the
        # number moves faster, and the norm to which gradients are clipped stays that of the policy.
        numbers = self.slow + (self.slow * (self.speed - 1.0)).detach()
        if not self.places:
            return numbers.expand(len(step.prompts), 1)
        found = [self.places.get(key, -1) for key in step.prompts.ids]
        place = torch.tensor(found, device=numbers.device)
        known = numbers[place.clamp(min=0)]
        return torch.where(place < 0, numbers.mean().detach(), known).unsqueeze(-1)

    def trainable(self) -> list[nn.Parameter]:
        return [self.slow]
