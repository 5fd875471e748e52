"""ULMA: likelihood on demonstrations, a regularised term on all else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from attrs.validators import gt

from tgframe_ulma.demonstrations import AtLeast, Demonstration, Marked
from tgframe_ulma.objectives.pointwise import Pointwise, PointwiseOptions

if TYPE_CHECKING:
    from tgframe import Context


@attrs.frozen
class ULMA(PointwiseOptions):
    """Unified language model alignment: demonstrations get likelihood, all else the loss of point-wise DPO.

    Demonstrations are of high quality: pulling them to the reference only slows learning down. Other completions are
    noisy and keep that pull. With binary labels a demonstration must have the label 1, or none; other completions with
    the label 1 keep the regularised term. With continuous labels a demonstration's own label is not read.
    The likelihood is ``policy_logprobs`` through the recipe's aggregator: with ``mean`` it is per token, as in the
    released code. Source: Cai et al. 2023 (arXiv 2312.02554).
    """

    demonstrations: Demonstration = attrs.field(factory=Marked)
    """Which completions are demonstrations: as ``marked`` by the preference, or by a rule on the label."""
    weight: float = attrs.field(default=1.0, validator=gt(0.0))
    """Weight of the likelihood of demonstrations; beta makes it the released code's ``beta_logloss``."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        rule = self.demonstrations
        if self.labels == "binary" and isinstance(rule, AtLeast) and not 0.0 < rule.label <= 1.0:
            raise ValueError(
                f"`demonstrations.label` must be above 0 and at most 1 with `labels: binary`, but is {rule.label!r} "
                "instead: good completions have the label 1."
            )

    def needs(self) -> frozenset[str]:
        return super().needs() | self.demonstrations.needs() | {"policy_logprobs"}

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return {**self.demonstrations.accepts(), **super().accepts()}

    def build(self, context: Context) -> Pointwise:
        rule = self.demonstrations.build(context)
        return Pointwise(self.labels, self.balance, self.partition.build(context), rule, self.weight)
