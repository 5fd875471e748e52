"""One planted violation for each law of guidance models makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor, nn

from tgframe import Context, Guidance, GuidanceModel, Specification, Step
from tgframe.testing import GuidanceContract


@attrs.frozen
class TokenTable(Specification[GuidanceModel]):
    """A learned value for every token of the vocabulary."""

    start: float = 0.25
    """The value of every token before the fit."""

    def build(self, context: Context) -> GuidanceModel:
        return Table(self, len(context.tokenizer))


class Table(nn.Module, GuidanceModel):
    def __init__(self, options: TokenTable, vocabulary: int) -> None:
        super().__init__()
        self.options = options
        self.table = nn.Parameter(torch.linspace(options.start, 1.0, vocabulary))

    def values(self, step: Step) -> Guidance:
        rollouts = step.rollouts
        return Guidance(self.change(self.table[rollouts.tokens], step) * rollouts.mask, rollouts.mask)

    def change(self, values: Tensor, step: Step) -> Tensor:
        return values

    def trainable(self) -> list[nn.Parameter]:
        return [self.table]


@attrs.frozen
class LogRatio(GuidanceModel):
    """Implicit guidance."""

    differentiable = True

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "reference_logprobs"})

    def values(self, step: Step) -> Guidance:
        return Guidance(step.policy_logprobs - step.reference_logprobs, step.rollouts.mask)


class TestTokenTable(GuidanceContract):
    def make(self) -> TokenTable:
        return TokenTable()


class TestLogRatio(GuidanceContract):
    def make(self) -> LogRatio:
        return LogRatio()


class TestOwnLoss(GuidanceContract):
    def make(self) -> Planted:
        return Planted(mistake="OwnLoss")


class TestJointLoss(GuidanceContract):
    def make(self) -> Planted:
        return Planted(mistake="JointLoss")


class JointLoss(Table):
    """Trained with the policy: right."""

    def improve_loss(self, step: Step) -> Tensor:
        return self.values(step).values.mean()

    def joint(self) -> list[nn.Parameter]:
        return [self.table]


class FirstIsBest(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values + torch.arange(values.shape[1]).reshape(1, -1, 1)


class CountsWidth(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values / values.shape[-1]


class Noisy(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values + random.random()


class Infinite(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values.log() - torch.inf


class DrawsAtBuilding(Table):
    def __init__(self, options: TokenTable, vocabulary: int) -> None:
        super().__init__(options, vocabulary)
        self.noise = random.random()

    def change(self, values: Tensor, step: Step) -> Tensor:
        return values + self.noise


class OffTheMask(Table):
    def values(self, step: Step) -> Guidance:
        return Guidance(self.table[step.rollouts.tokens], step.rollouts.mask)


class ValuesPadding(Table):
    def values(self, step: Step) -> Guidance:
        return Guidance(self.table[step.rollouts.tokens], torch.ones_like(step.rollouts.mask))


class SkipsShort(Table):
    def values(self, step: Step) -> Guidance:
        mask = step.rollouts.mask & (step.rollouts.lengths > 4).unsqueeze(-1)
        return Guidance(self.table[step.rollouts.tokens] * mask, mask)


class WholeNumbers(Table):
    def values(self, step: Step) -> Guidance:
        right = super().values(step)
        return Guidance(right.values.long(), right.mask)


class ComparesPrompts(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values - values[step.rollouts.mask].mean()


class AveragesTheAbsent(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values / step.rollouts.lengths.unsqueeze(-1)


class WritesTokens(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        step.rollouts.prompts.tokens.zero_()
        return values


class SeedsGlobally(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        torch.manual_seed(0)
        return values


class FitsToInfinity(Table):
    def fit(self, steps: Iterator[Step]) -> Mapping[str, float]:
        worth = next(steps).preferences.values
        with torch.no_grad():
            self.table.div_(worth.min())
        return {"worth": float(worth.mean())}


class LogsText(Table):
    def fit(self, steps: Iterator[Step]) -> Any:
        return {"seen": [1, 2]}


class OwnLoss(Table):
    """Ranks by a regression of its own: right."""

    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]]:
        judged, guidance = step.preferences, self.values(step)
        each = (step.aggregator.aggregate(guidance.values, guidance.mask) - judged.values).square()
        return each[judged.valid].sum() / judged.valid.sum().clamp_min(1), {"judged": float(judged.valid.sum())}


class LossOfEach(OwnLoss):
    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]]:
        return self.values(step).values.sum(-1), {}


class LossOfTheFirst(OwnLoss):
    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]]:
        loss, logs = super().ground(step, rankings)
        return loss + self.values(step).values[:, 0].sum(), logs


class LossOfTheWidth(OwnLoss):
    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]]:
        loss, logs = super().ground(step, rankings)
        return loss / step.rollouts.mask.shape[-1], logs


class LossOfTheMissing(OwnLoss):
    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]]:
        guidance = self.values(step)
        return (guidance.values.sum(-1) - step.preferences.values).square().mean(), {}


class LossOfNothing(OwnLoss):
    def ground(self, step: Step, rankings: Tensor | None = None) -> tuple[Tensor, Mapping[str, float]]:
        loss, logs = super().ground(step, rankings)
        return loss / step.preferences.valid.any(), logs


class JointLossForNothing(Table):
    def improve_loss(self, step: Step) -> Tensor:
        return self.values(step).values.sum()


class NothingReached(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values.detach().requires_grad_()


class DifferentiableInSecret(Table):
    differentiable = True


class AsksForNothing(Table):
    def change(self, values: Tensor, step: Step) -> Tensor:
        return values + step.policy_logprobs.detach()


MUTATIONS: dict[type[Table], str] = {
    FirstIsBest: "order_of_completions_changes_nothing",
    CountsWidth: "padding_changes_nothing",
    Noisy: "values_the_same_twice",
    DrawsAtBuilding: "values_the_same_twice",
    Infinite: "values_every_marked_token",
    OffTheMask: "values_every_marked_token",
    ValuesPadding: "values_every_marked_token",
    SkipsShort: "values_every_marked_token",
    NothingReached: "every_trained_parameter_is_reached",
    DifferentiableInSecret: "gradient_goes_where_it_is_said_to_go",
    AsksForNothing: "values_every_marked_token",
    WholeNumbers: "values_every_marked_token",
    ComparesPrompts: "other_prompts_change_nothing",
    AveragesTheAbsent: "absent_completions_have_no_values",
    WritesTokens: "inputs_are_left_alone",
    SeedsGlobally: "draws_from_no_global_generator",
    FitsToInfinity: "fits_without_breaking",
    LogsText: "fits_without_breaking",
    LossOfEach: "own_loss_comes_with_numbers",
    LossOfTheFirst: "own_loss_ignores_order_and_padding",
    LossOfTheWidth: "own_loss_ignores_order_and_padding",
    LossOfTheMissing: "own_loss_reads_no_missing_judgment",
    LossOfNothing: "own_loss_reads_no_missing_judgment",
    JointLossForNothing: "joint_loss_reaches_joint_parameters",
}


@attrs.frozen
class Planted(TokenTable):
    """A table with a mistake."""

    mistake: str = ""
    """Name of the class that has it."""

    def build(self, context: Context) -> Any:
        return globals()[self.mistake](self, len(context.tokenizer))


@pytest.mark.parametrize("part", MUTATIONS, ids=lambda part: part.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    part: type[Table], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(GuidanceContract):
        def make(self) -> Planted:
            return Planted(mistake=part.__name__)

    assert broken_laws(Contract) == {MUTATIONS[part]}


@attrs.frozen
class Detached(LogRatio):
    """Says that gradient flows, and cuts it."""

    def values(self, step: Step) -> Guidance:
        right = super().values(step)
        return Guidance(right.values.detach().requires_grad_(), right.mask)


def test_a_gradient_that_goes_nowhere_is_found(broken_laws: Callable[[type], set[str]]) -> None:
    class Contract(GuidanceContract):
        def make(self) -> Detached:
            return Detached()

    assert broken_laws(Contract) == {"gradient_goes_where_it_is_said_to_go"}


def test_every_law_of_guidance_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(GuidanceContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values()}
