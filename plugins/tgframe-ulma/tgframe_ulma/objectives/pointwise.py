"""What point-wise DPO and ULMA share: one loss for each completion, from its own label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import attrs
import torch
from attrs.validators import in_
from torch import Tensor, nn

from tgframe import LMObjective, Specification, Step
from tgframe_ulma.logs import counts, means, reward_logs
from tgframe_ulma.objectives.points import Points, binary, continuous
from tgframe_ulma.pairs import judged
from tgframe_ulma.partition.fixed import Zero
from tgframe_ulma.partition.term import Partition, PartitionTerm
from tgframe_ulma.reduction import reduced
from tgframe_ulma.sequences import ACCEPTED, log_likelihoods, rewards

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_ulma.demonstrations import Demonstration

Labels = Literal["binary", "continuous"]
MODELS = {"binary": binary, "continuous": continuous}


@attrs.frozen
class PointwiseOptions(Specification[LMObjective]):
    """Options of both."""

    labels: Labels = attrs.field(default="binary", validator=in_(tuple(MODELS)))
    """``binary``: 1 is good, 0 is bad, logistic loss; ``continuous``: rewards with Gaussian noise, squared error."""
    partition: Partition = attrs.field(factory=Zero)
    """What is added to the implicit reward for ``beta log Z(x)``."""
    balance: bool = False
    """Average over each class by itself and add the averages, as the released code does, instead of averaging over all
    completions. This changes what is learned: the odds of a good label are divided by the ratio of the classes."""

    def __attrs_post_init__(self) -> None:
        if self.labels == "binary" and self.partition.reads_labels:
            raise ValueError(
                "`partition` must not read labels as rewards with `labels: binary`, because classes are no rewards. "
                "Write `partition: learned`, or `labels: continuous`."
            )

    def needs(self) -> frozenset[str]:
        return frozenset({"guidance", "differentiable", "preferences", "aggregator"}) | self.partition.needs()

    def accepts(self) -> Mapping[str, frozenset[str]]:
        kinds = {"label"} if self.labels == "binary" else {"label", "score"}
        return {**ACCEPTED, "preference": frozenset(kinds), **self.partition.accepts()}

    def build(self, context: Context) -> Pointwise:
        return Pointwise(self.labels, self.balance, self.partition.build(context))


class Pointwise(nn.Module, LMObjective):
    """The part at work. Completions that ``rule`` calls demonstrations get ``weight`` times likelihood instead."""

    def __init__(
        self,
        labels: Labels,
        balance: bool,
        partition: PartitionTerm,
        rule: Demonstration | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.model, self.balance = MODELS[labels], balance
        self.partition, self.rule, self.weight = partition, rule, weight

    def trainable(self) -> list[nn.Parameter]:
        return self.partition.trainable()

    def denominator(self, step: Step) -> float:
        return float((self._taught(step) | self._shown(step)).sum())

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """Return the loss, a scalar, and logs. Raises :class:`~tgframe.DataError` for labels that are none."""
        reward, constant = rewards(step), self.partition.constants(step)
        shown = self._shown(step)
        rest = self._taught(step) & ~shown
        points = self.model(step, reward, reward + constant, shown, rest)
        losses, logs = self._demonstrated(step, points, shown)
        logs |= {"partition": constant.detach().mean(), **points.logs, **reward_logs(step, reward)}
        logs["missing"] = float((step.rollouts.present & ~shown & ~rest).sum())
        return reduced(losses, points.groups, self.balance), logs

    def _shown(self, step: Step) -> Tensor:
        """Return bool ``[B,K]``: demonstrations."""
        return torch.zeros_like(step.rollouts.present) if self.rule is None else self.rule.marked(step)

    def _taught(self, step: Step) -> Tensor:
        """Return bool ``[B,K]``: completions with a label that can be learned from."""
        return judged(step) & self.partition.usable(step)

    def _demonstrated(self, step: Step, points: Points, shown: Tensor) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Return losses ``[B,K]`` in which demonstrations have their likelihood's, and what it was."""
        if self.rule is None:
            return points.losses, {}
        nll = -log_likelihoods(step)
        logs = {**means(nll, {"nll_demonstration": shown}), **counts({"demonstrations": shown})}
        return torch.where(shown, self.weight * nll, points.losses), logs
