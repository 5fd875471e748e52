"""One planted violation for each law of guidance models makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable
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
