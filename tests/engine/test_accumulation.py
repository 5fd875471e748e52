"""A step that is divided makes the update of the whole; learning rates warm up and decay."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import MakeRun, Reinforce, TokenWorth, rows
from tgframe import Preferences, PreferenceSource
from tgframe.engine.improvement import Improvement
from tgframe.engine.means import Means
from tgframe.engine.optimization import Updater, rate
from tgframe.engine.step import StepFiller
from tgframe.interfaces.schedule import Improve, Optimizer, Optimizers, Plateau, Schedule
from tgframe.runtime.machine import Machine
from tgframe.testing import TabularPolicy


class ByToken(Reinforce):
    """Says that its loss is a mean over tokens, and compares nothing across completions."""

    def needs(self) -> frozenset[str]:
        return super().needs() | {"preferences"}

    def denominator(self, step: Any) -> float:
        return float(step.rollouts.mask.sum())

    def loss(self, step: Any) -> Any:
        worth = step.guidance.values + step.preferences.values.unsqueeze(-1)
        return -(worth * step.policy_logprobs)[step.rollouts.mask].mean(), {"worth": worth[step.rollouts.mask].mean()}


class Unweighted(ByToken):
    """The same loss, which hides how much a part weighs."""

    def denominator(self, step: Any) -> float:
        return 1.0


class Length(PreferenceSource):
    """Judges by length; remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def judge(self, rollouts: Any) -> Preferences:
        self.asked += 1
        return Preferences.from_scores([[float(len(text)) for text in group] for group in rollouts.texts])


def improved(
    make_run: MakeRun, prompts: int, accumulate: int, steps: int = 3, objective: Reinforce | None = None
) -> tuple[torch.Tensor, Any, Any]:
    torch.manual_seed(0)
    policy = TabularPolicy("abcd")
    guidance = TokenWorth(len(policy.tokenizer))
    torch.nn.init.normal_(guidance.worth.weight)
    improve = Improve(prompts=prompts, completions=3, accumulate=accumulate)
    given = {"policy": policy, "guidance": guidance, "objective": objective or ByToken(), "preference": Length()}
    run = make_run(Schedule(steps=steps, improve=improve), folder=f"{prompts}-{accumulate}", **given)
    run = attrs.evolve(run, optimizers=Optimizers(Optimizer(lr=0.05)))
    improvement = Improvement(run, StepFiller(run))
    for _ in range(steps):
        improvement.step()
    return policy.table.detach().clone(), rows(run), run


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_a_divided_step_is_the_whole_step(make_run: MakeRun, accumulate: int) -> None:
    """1 x 8 = 2 x 4 = 8 x 1, to float rounding, although completions differ in length."""
    whole, whole_rows, _ = improved(make_run, 8, 1)
    parts, part_rows, run = improved(make_run, 8, accumulate)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    for one, other in zip(part_rows, whole_rows, strict=True):
        for name in ("loss", "worth", "grad_norm"):
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6)
    assert run.parts.preference.asked == 3, "judged once a step, all together"


def test_parts_weigh_what_they_hold(make_run: MakeRun) -> None:
    """With equal weights, the parts of the test above would make another update."""
    whole, _, _ = improved(make_run, 8, 1)
    parts, _, _ = improved(make_run, 8, 4, objective=Unweighted())
    assert (parts - whole).abs().max() > 1e-3


def test_parts_must_be_equal() -> None:
    with pytest.raises(ValueError, match=r"`accumulate` must divide `prompts` \(8\), but is 3 instead"):
        Improve(prompts=8, accumulate=3)


def test_means_are_weighted_and_leave_out_what_is_not_there() -> None:
    means = Means()
    means.add({"loss": 1.0, "rare": 5.0}, 1.0)
    means.add({"loss": torch.tensor(4.0)}, 2.0)
    assert means.values() == {"loss": 3.0, "rare": 5.0}


@pytest.mark.parametrize(
    ("done", "warmup", "decay", "share"),
    [
        (0, 4, "none", 0.25),
        (3, 4, "none", 1.0),
        (9, 4, "none", 1.0),
        (0, 0, "linear", 1.0),
        (5, 0, "linear", 0.5),
        (9, 0, "linear", 0.1),
        (0, 0, "cosine", 1.0),
        (5, 0, "cosine", 0.5),
        (7, 4, "cosine", 0.5),
        (10, 0, "linear", 0.0),
        (11, 0, "cosine", 0.0),
    ],
)
def test_rates(done: int, warmup: int, decay: str, share: float) -> None:
    assert rate(done, 10, warmup, decay) == pytest.approx(share, abs=1e-9)


def test_an_optimizer_follows_its_rates_and_goes_on_from_a_saved_state() -> None:
    machine = Machine.create(0, "cpu", "fp32")
    options = Optimizer(lr=0.1, warmup=2, decay="cosine")

    def updater() -> tuple[Updater, torch.nn.Parameter]:
        parameter = torch.nn.Parameter(torch.ones(1))
        return Updater([parameter], options, machine, "max", 6), parameter

    first, parameter = updater()
    rates = []
    for _ in range(3):
        first.update((parameter**2).sum())
        rates.append(first.lr)
    assert rates == pytest.approx([0.05, 0.1, 0.1])
    again, _ = updater()
    again.load_state_dict(first.state_dict())
    for one in (first, again):
        one.update((one.parameters[0] ** 2).sum())
        assert one.lr == pytest.approx(0.1 * (0.5 + 0.5 * math.cos(math.pi / 4)))


def test_foreign_gradients_are_not_taken_for_ones_own() -> None:
    machine = Machine.create(0, "cpu", "fp32")
    parameter = torch.nn.Parameter(torch.zeros(1))
    updater = Updater([parameter], Optimizer(lr=0.1), machine, "max")
    (parameter * 100).sum().backward()  # type: ignore[no-untyped-call]
    assert updater.update(parameter.sum()) == pytest.approx(1.0)


def test_two_rules_for_one_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="`plateau` must be null"):
        Optimizer(plateau=Plateau(), warmup=3)
