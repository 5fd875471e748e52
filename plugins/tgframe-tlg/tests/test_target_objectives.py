"""Likelihood of targets, plain and weighted by guidance."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Guidance, LMObjective, Prompts, RecipeError, Rollouts, Step
from tgframe.testing import ObjectiveContract
from tgframe_tlg.objectives.mle import MLE
from tgframe_tlg.objectives.reward_weighted_mle import RewardWeightedMLE

WORTH = ([0.2, 0.5, 0.9], [0.6, 0.4])
"""The token values of the paper digest's worked example."""
VARIANTS = [
    {"returns": returns, "weight": weight, "temperature": temperature}
    for returns in ("token", "to-go")
    for weight, temperature in (("value", 1.0), ("exp", 1.0), ("exp", 0.3))
]


class TestMLE(ObjectiveContract):
    def make(self) -> MLE:
        return MLE()


class TestMLEOverTokens(ObjectiveContract):
    def make(self) -> MLE:
        return MLE(average="token")


class TestRewardWeightedMLE(ObjectiveContract):
    def make(self) -> RewardWeightedMLE:
        return RewardWeightedMLE()


class TestRewardWeightedMLEWithSamples(ObjectiveContract):
    def make(self) -> RewardWeightedMLE:
        return RewardWeightedMLE(returns="to-go", weight="exp", temperature=0.5, reinforce=0.3, entropy=0.1)


def padded(groups: list[list[list[float]]], width: int = 0) -> tuple[Tensor, Tensor]:
    """Return numbers and mask ``[B,K,T]`` of ragged groups; an empty row is absent."""
    k = max(map(len, groups))
    width = max(width, *(len(row) for group in groups for row in group), 1)
    numbers, mask = torch.zeros(len(groups), k, width), torch.zeros(len(groups), k, width, dtype=torch.bool)
    for b, group in enumerate(groups):
        for column, row in enumerate(group):
            numbers[b, column, : len(row)] = torch.tensor(row)
            mask[b, column, : len(row)] = True
    return numbers, mask


def made(mask: Tensor, **fields: Any) -> Step:
    b, k, _ = mask.shape
    empty = torch.zeros(b, 0)
    prompts = Prompts(tuple(map(str, range(b))), ("",) * b, empty.long(), empty.bool())
    rollouts = Rollouts(prompts, torch.zeros(mask.shape, dtype=torch.int64), mask, (("",) * k,) * b)
    return Step(prompts).with_fields(rollouts=rollouts, **fields)


def on_targets(
    worth: list[list[list[float]]], logprobs: Tensor | None = None, marked: Tensor | None = None, width: int = 0
) -> tuple[Step, Tensor]:
    """Return a step whose targets have these values, and their log-probabilities as a leaf."""
    values, mask = padded(worth, width)
    if logprobs is None:
        logprobs = -torch.rand(values.shape, generator=torch.Generator().manual_seed(1)) - 0.1
    logprobs = logprobs.detach().clone().requires_grad_()
    targets = made(mask, guidance=Guidance(values, mask if marked is None else marked), policy_logprobs=logprobs)
    return Step(targets.prompts).with_fields(targets=targets), logprobs


def weights(objective: LMObjective, step: Step, logprobs: Tensor) -> Tensor:
    """Return what stands beside each negative log-probability in the loss."""
    (found,) = torch.autograd.grad(objective.loss(step)[0], logprobs)
    return -found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.125, 0.3125, 0.5625]),
        ({"returns": "to-go"}, [0.41026, 0.35897, 0.23077]),
        ({"weight": "exp"}, [math.exp(r) / sum(math.exp(s) for s in WORTH[0]) for r in WORTH[0]]),
        (
            {"weight": "exp", "temperature": 0.1},
            [math.exp(10 * r) / sum(math.exp(10 * s) for s in WORTH[0]) for r in WORTH[0]],
        ),
    ],
)
def test_weights_are_shares_of_the_worked_example(options: dict[str, Any], expected: list[float]) -> None:
    found = weights(RewardWeightedMLE(**options), *on_targets([[WORTH[0]]]))
    torch.testing.assert_close(found[0, 0], torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_exponentials_come_before_returns() -> None:
    found = weights(RewardWeightedMLE(returns="to-go", weight="exp"), *on_targets([[WORTH[1]]]))
    first, last = (math.exp(r) for r in WORTH[1])
    expected = torch.tensor([first + last, last]) / (first + 2 * last)
    torch.testing.assert_close(found[0, 0], expected)


def test_the_loss_is_the_mean_of_the_targets_weighted_means() -> None:
    step, logprobs = on_targets([[WORTH[0]], [WORTH[1]]])
    loss, logs = RewardWeightedMLE().loss(step)
    nll = -logprobs.detach()
    one = 0.125 * nll[0, 0, 0] + 0.3125 * nll[0, 0, 1] + 0.5625 * nll[0, 0, 2]
    other = 0.6 * nll[1, 0, 0] + 0.4 * nll[1, 0, 1]
    torch.testing.assert_close(loss, (one + other) / 2)
    torch.testing.assert_close(logs["weighted_nll"], loss.detach())
    torch.testing.assert_close(logs["nll"], (nll[0, 0].mean() + nll[1, 0, :2].mean()) / 2)
    ess = (1 / (0.125**2 + 0.3125**2 + 0.5625**2) / 3 + 1 / (0.6**2 + 0.4**2) / 2) / 2
    assert float(logs["weight_ess"]) == pytest.approx(ess, rel=1e-5)
    entropies = [-sum(w * math.log(w) for w in shares) for shares in ([0.125, 0.3125, 0.5625], [0.6, 0.4])]
    assert float(logs["weight_entropy"]) == pytest.approx(sum(entropies) / 2, rel=1e-5)
    assert float(logs["value_mean"]) == pytest.approx(2.6 / 5)
    assert set(logs) == {"weighted_nll", "nll", "weight_ess", "weight_entropy", "value_mean"}
    assert not any(isinstance(value, Tensor) and value.requires_grad for value in logs.values())


@pytest.mark.parametrize("options", [{}, {"weight": "exp"}, {"weight": "exp", "temperature": 0.3}])
@pytest.mark.parametrize("worth", [0.1, 0.5487, 1.3133, 1e-8, 3e7, 0.0])
def test_uniform_guidance_is_plain_likelihood_to_the_last_bit(options: dict[str, Any], worth: float) -> None:
    lengths = [[1, 3, 0], [7, 11, 13], [128, 77, 1]]
    step, logprobs = on_targets([[[worth] * length for length in group] for group in lengths])
    plain, weighted = MLE().loss(step)[0], RewardWeightedMLE(**options).loss(step)[0]
    assert torch.equal(weighted, plain)
    gradients = [torch.autograd.grad(loss, logprobs)[0] for loss in (plain, weighted)]
    assert torch.equal(*gradients)
    assert gradients[0].count_nonzero() == sum(map(sum, lengths))


def test_plain_likelihood_averages_over_targets_or_over_tokens() -> None:
    step, logprobs = on_targets([[[1.0] * 3, [1.0]], [[1.0] * 2, []]])
    nll = -logprobs.detach()
    sums = nll[0, 0, :3].sum(), nll[0, 1, 0], nll[1, 0, :2].sum()
    sequence, logs = MLE().loss(step)
    token, _ = MLE(average="token").loss(step)
    torch.testing.assert_close(sequence, (sums[0] / 3 + sums[1] + sums[2] / 2) / 3)
    torch.testing.assert_close(token, sum(sums) / 6)
    torch.testing.assert_close(logs["token_nll"], token.detach())
    torch.testing.assert_close(logs["nll"], sequence.detach())


@pytest.mark.parametrize(
    "objective", [MLE(), MLE(average="token"), *(RewardWeightedMLE(**options) for options in VARIANTS)]
)
def test_padding_changes_nothing(objective: LMObjective) -> None:
    groups = [[WORTH[0], []], [WORTH[1], [0.3]]]
    step, logprobs = on_targets(groups)
    wide = torch.nn.functional.pad(logprobs, (0, 9), value=-7.0)
    padded_step, _ = on_targets(groups, wide, width=12)
    guidance = padded_step.targets.guidance
    noisy = Guidance(guidance.values.where(guidance.mask, torch.tensor(-99.0)), guidance.mask)
    padded_step = padded_step.with_fields(targets=padded_step.targets.with_fields(guidance=noisy))
    (loss, logs), (other, others) = objective.loss(step), objective.loss(padded_step)
    torch.testing.assert_close(other, loss, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(others, logs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "objective", [MLE(), MLE(average="token"), *(RewardWeightedMLE(**options) for options in VARIANTS)]
)
def test_a_divided_step_is_the_whole_step(objective: LMObjective) -> None:
    groups = [[WORTH[0], []], [WORTH[1], [0.3]], [[0.7], []], [[0.1, 0.2, 0.4], [1.0, 0.5]]]
    _, logprobs = on_targets(groups)
    step = on_targets(groups, logprobs)[0]
    whole = objective.loss(step)[0]
    parts = [on_targets(groups[at : at + 2], logprobs[at : at + 2], width=3)[0] for at in (0, 2)]
    shares = [objective.denominator(part) for part in parts]
    assert objective.denominator(step) == sum(shares)
    together = sum(share * objective.loss(part)[0] for share, part in zip(shares, parts, strict=True)) / sum(shares)
    torch.testing.assert_close(together, whole)


def test_no_target_at_all_is_a_step_of_nothing() -> None:
    step, logprobs = on_targets([[[], []]])
    for objective in (MLE(), MLE(average="token"), RewardWeightedMLE(), RewardWeightedMLE(weight="exp")):
        loss, logs = objective.loss(step)
        assert loss.item() == 0
        assert torch.autograd.grad(loss, logprobs)[0].count_nonzero() == 0
        assert all(math.isfinite(float(value)) for value in logs.values())
        assert objective.denominator(step) == 0


@pytest.mark.parametrize("options", VARIANTS)
def test_no_gradient_reaches_the_guidance(options: dict[str, Any]) -> None:
    step, logprobs = on_targets([[WORTH[0]], [WORTH[1]]])
    values = step.targets.guidance.values.requires_grad_()
    sampled = {"guidance": Guidance(values, step.targets.rollouts.mask), "policy_logprobs": logprobs}
    step = step.with_fields(rollouts=step.targets.rollouts, **sampled)
    RewardWeightedMLE(reinforce=0.5, **options).loss(step)[0].backward()
    assert values.grad is None
    assert logprobs.grad is not None


def test_values_at_segment_ends_weigh_those_tokens_only() -> None:
    marked = torch.tensor([[[False, True, True]]])
    found = weights(RewardWeightedMLE(), *on_targets([[[9.0, 1.0, 3.0]]], marked=marked))
    assert found.tolist() == [[[0.0, 0.25, 0.75]]]
    found = weights(RewardWeightedMLE(returns="to-go"), *on_targets([[[9.0, 1.0, 3.0]]], marked=marked))
    torch.testing.assert_close(found, torch.tensor([[[4.0, 4.0, 3.0]]]) / 11)


def test_exponentials_do_not_overflow() -> None:
    found = weights(RewardWeightedMLE(weight="exp", temperature=0.01), *on_targets([[[500.0, -500.0, 499.99]]]))
    first = 1 / (1 + math.exp(-1))
    torch.testing.assert_close(found[0, 0], torch.tensor([first, 0.0, 1 - first]), rtol=1e-3, atol=1e-6)


def test_negative_values_have_no_shares() -> None:
    step, logprobs = on_targets([[[0.5, -0.1]]])
    with pytest.raises(
        RecipeError, match=r"`objective\.weight` must be 'exp' .* is 'value', and the guidance gives -0\.1"
    ):
        RewardWeightedMLE().loss(step)
    assert (weights(RewardWeightedMLE(weight="exp"), step, logprobs) > 0).all()


def sampled_step() -> Step:
    """Return a step with targets and two sampled completions of two tokens and one."""
    step, _ = on_targets([[WORTH[0]]])
    values, mask = padded([[[0.5, 1.0], [2.0]]])
    fields = {
        "guidance": Guidance(values, mask),
        "policy_logprobs": torch.tensor([[[-1.0, -2.0], [-3.0, 9.0]]]),
        "policy_entropy": torch.tensor([[[0.1, 0.2], [0.6, 9.0]]]),
    }
    return step.with_fields(rollouts=made(mask).rollouts, **fields)


@pytest.mark.parametrize(("returns", "reinforce"), [("token", 8.5 / 3), ("to-go", 9.5 / 3)])
def test_terms_on_sampled_completions(returns: Any, reinforce: float) -> None:
    step = sampled_step()
    alone = RewardWeightedMLE(returns=returns).loss(step)[0]
    loss, logs = RewardWeightedMLE(returns=returns, reinforce=0.5, entropy=0.2).loss(step)
    torch.testing.assert_close(loss, alone + 0.5 * reinforce - 0.2 * 0.3)
    assert float(logs["reinforce_loss"]) == pytest.approx(reinforce)
    assert float(logs["entropy"]) == pytest.approx(0.3)


def test_asks_for_what_it_reads() -> None:
    likelihood = {"targets", "targets.policy_logprobs"}
    weighted = likelihood | {"targets.guidance"}
    assert MLE().needs() == likelihood
    assert RewardWeightedMLE().needs() == weighted
    assert RewardWeightedMLE(reinforce=0.1).needs() == weighted | {"guidance", "policy_logprobs"}
    assert RewardWeightedMLE(entropy=0.1).needs() == weighted | {"policy_entropy"}


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`temperature` must be 1\.0 with `weight: value`, but is 0\.5"):
        RewardWeightedMLE(temperature=0.5)
    assert attrs.evolve(RewardWeightedMLE(weight="exp"), temperature=0.5).temperature == 0.5
