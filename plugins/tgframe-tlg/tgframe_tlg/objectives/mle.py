"""Maximum likelihood of the targets: the baseline without guidance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
from attrs.validators import in_
from torch import Tensor

from tgframe import LMObjective, Step
from tgframe_tlg.objectives.likelihood import mean_of_sequences
from tgframe_tlg.objectives.policy_gradient import masked_mean


@attrs.frozen
class MLE(LMObjective):
    """Maximum likelihood of the targets: what ``reward-weighted-mle`` is where all tokens are worth the same."""

    average: Literal["sequence", "token"] = attrs.field(default="sequence", validator=in_(("sequence", "token")))
    """``sequence``: the mean over the targets of the mean over their tokens, as in ``reward-weighted-mle``; ``token``:
    the mean over all tokens, in which long targets count more."""

    def needs(self) -> frozenset[str]:
        return frozenset({"targets", "targets.policy_logprobs"})

    def denominator(self, step: Step) -> float:
        targets = step.targets.rollouts
        return float((targets.present if self.average == "sequence" else targets.mask).sum())

    def loss(self, step: Step) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        nll, real = -step.targets.policy_logprobs, step.targets.rollouts.mask
        means = {"nll": mean_of_sequences(nll, real), "token_nll": masked_mean(nll, real)}
        loss = means["nll" if self.average == "sequence" else "token_nll"]
        return loss, {name: mean.detach() for name, mean in means.items()}
