"""Sum and mean over tokens: both are legal, they mean different things, and nothing else is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tgframe import Preferences, Prompts, Rollouts, Step
from tgframe.builtin.aggregators import Mean, Sum
from tgframe.testing import make_context
from tgframe_ulma.objectives.dpo import DPO
from tgframe_ulma.objectives.pointwise_dpo import PointwiseDPO
from tgframe_ulma.objectives.sft import SFT
from tgframe_ulma.objectives.ulma import ULMA
from tgframe_ulma.objectives.unlikelihood import Unlikelihood

POLICY, REFERENCE = (-1.2, -0.4, -2.0), (-1.0, -1.0, -1.5)


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
def test_only_sum_and_plain_mean_are_taken(objective: Any) -> None:
    wanted = objective.accepts()["aggregator"]
    for aggregator, taken in ((Sum(), True), (Mean(length="none"), True), (Mean(), False)):
        assert bool(wanted & aggregator.provides()) is taken, aggregator
