"""Sum and mean over tokens: both are legal, they mean different things, and nothing else is taken."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Aggregator, Preferences, Prompts, RecipeError, Rollouts, Step
from tgframe.testing import make_context
from tgframe_ulma.objectives.dpo import DPO
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.objectives.sft import SFT
from tgframe_ulma.objectives.ulma import ULMA
from tgframe_ulma.objectives.unlikelihood import Unlikelihood
from tgframe_ulma.sequences import require_linear

POLICY, REFERENCE = (-1.2, -0.4, -2.0), (-1.0, -1.0, -1.5)


@attrs.frozen
class Scaled(Aggregator):
    """The mean, times the mean length in the group: the core's ``mean`` as it is by default."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(-1)
        mean = values.masked_fill(~mask, 0.0).sum(-1) / lengths.clamp(min=1)
        return mean * lengths.double().mean(-1, keepdim=True)

    def length_effect(self) -> Any:
        return "none"


@attrs.frozen
class Softest(Aggregator):
    """Log-mean-exp."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return values.masked_fill(~mask, -torch.inf).logsumexp(-1) - mask.sum(-1).log()

    def length_effect(self) -> Any:
        return "none"


def step_with(filled: Any, prompt: Prompts, objective: Any, label: float, aggregator: Any = None) -> Step:
    """Return a step with one completion of three tokens, padded to four."""
    mask = torch.tensor([[[True, True, True, False]]])
    rollouts = Rollouts(prompt, mask.long(), mask, (("",),))
    judged = Preferences(torch.tensor([[label]]), torch.tensor([[True]]), "label", torch.tensor([[label > 0.5]]))
    logprobs = [torch.tensor([[[*row, 0.0]]]) for row in (POLICY, REFERENCE)]
    return filled(objective, rollouts, judged, *logprobs, aggregator=aggregator, beta=0.1)


@pytest.mark.parametrize(
    ("label", "aggregate", "loss"),
    [(0.0, "sum", 0.688160), (0.0, "mean", 0.691482), (1.0, "sum", 0.698160), (1.0, "mean", 0.694815)],
)
def test_beta_means_another_thing_per_token(
    filled: Any, one_prompt: Prompts, averaged: Any, label: float, aggregate: str, loss: float
) -> None:
    objective = PointwiseDPO()
    step = step_with(filled, one_prompt, objective, label, averaged if aggregate == "mean" else None)
    found, logs = objective.build(make_context()).loss(step)
    assert found.item() == pytest.approx(loss, abs=1e-6)
    assert float(logs["reward_mean"]) == pytest.approx(0.1 * (-0.1 if aggregate == "sum" else -1 / 30), abs=1e-6)


@pytest.mark.parametrize(("objective", "label"), [(ULMA(), 1.0), (SFT(), 1.0), (Unlikelihood(), 1.0)])
def test_likelihood_goes_through_the_same_aggregator(
    filled: Any, one_prompt: Prompts, averaged: Any, objective: Any, label: float
) -> None:
    part = objective.build(make_context())
    total, _ = part.loss(step_with(filled, one_prompt, objective, label))
    mean, _ = part.loss(step_with(filled, one_prompt, objective, label, averaged))
    assert total.item() == pytest.approx(3.6)
    assert mean.item() == pytest.approx(1.2)


@pytest.mark.parametrize(
    "objective", [DPO(), PointwiseDPO(), ULMA(), SFT(), Unlikelihood()], ids=lambda o: type(o).__name__
)
@pytest.mark.parametrize("aggregator", [Scaled(), Softest()], ids=lambda a: type(a).__name__)
def test_other_aggregators_are_refused(filled: Any, one_prompt: Prompts, objective: Any, aggregator: Any) -> None:
    step = step_with(filled, one_prompt, objective, 1.0, aggregator)
    with pytest.raises(RecipeError, match=rf"sum or the plain mean.*{type(aggregator).__name__}.*length: none"):
        objective.build(make_context()).loss(step)
    assert objective.accepts()["aggregator"] == {"length:sum", "length:none"}


def test_what_tgframe_ships_is_told_apart() -> None:
    from tgframe.builtin.aggregators import Mean, Sum

    for right in (Sum(), Mean(length="none")):
        require_linear(right, torch.zeros(1))
    with pytest.raises(RecipeError, match="length='group'"):
        require_linear(Mean(), torch.zeros(1, dtype=torch.bfloat16))
    require_linear(Sum(), torch.zeros(1, dtype=torch.bfloat16))
