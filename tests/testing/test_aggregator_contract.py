"""One planted violation for each law of aggregators makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe import Aggregator
from tgframe.testing import AggregatorContract
from tgframe.testing.fakes.step import PlainSum


class TestPlainSum(AggregatorContract):
    def make(self) -> PlainSum:
        return PlainSum()


@attrs.frozen
class ReadsOffMask(PlainSum):
    """Multiplies by the mask: nan times 0 is nan."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) + (values * 0).sum(-1).nan_to_num(1.0).detach()


@attrs.frozen
class CountsWidth(PlainSum):
    """Divides by the width of the block, not by the length."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) / values.shape[-1]


@attrs.frozen
class EmptyIsMinusOne(PlainSum):
    """Punishes an empty completion."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) - (~mask.any(-1)).float()


@attrs.frozen
class NoGradient(PlainSum):
    """Detaches what it was given."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values.detach(), mask)


@attrs.frozen
class MasksTooLate(PlainSum):
    """Masks after the exponential: the value is right, its gradient is 0 times nan."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return torch.where(mask, values.exp(), 0.0).sum(-1)

    def length_effect(self) -> Any:
        return "sum"


@attrs.frozen
class FirstIsBest(PlainSum):
    """Prefers completions that come early, where there are more than three."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        place = torch.arange(mask.shape[1]) * (mask.shape[1] > 3)
        return super().aggregate(values, mask) / (1 + place)


@attrs.frozen
class CentresOverPrompts(PlainSum):
    """Scales by all prompts of a call."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) * len(values)


@attrs.frozen
class SaysNone(PlainSum):
    """Says that length does not matter."""

    def length_effect(self) -> Any:
        return "none"


@attrs.frozen
class MeanSaysSum(PlainSum):
    """Says that it sums."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) / mask.sum(-1).clamp_min(1)


@attrs.frozen
class Flat(PlainSum):
    """Returns one number for everything."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask).sum(-1)


@attrs.frozen
class InPlace(PlainSum):
    """Writes into the values."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        if not values.requires_grad:
            values.masked_fill_(~mask, 0.0)
        return super().aggregate(values, mask)


@attrs.frozen
class Noisy(PlainSum):
    """Adds noise."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) * (1 + random.random())


@attrs.frozen
class CountsTheAbsent(PlainSum):
    """Scales by the mean length of the group, as if those that are absent were short."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values, mask) * mask.sum(-1).float().mean(-1, keepdim=True).to(values.dtype)


@attrs.frozen
class Rounds(PlainSum):
    """Computes in single precision whatever it is given."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return super().aggregate(values.float(), mask)


@attrs.frozen
class SaysLinear(PlainSum):
    """Doubles, and claims to be the sum."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        return 2 * super().aggregate(values, mask)

    def linear(self) -> bool:
        return True


MUTATIONS: dict[type[Aggregator], str] = {
    SaysLinear: "linear_is_true",
    ReadsOffMask: "values_off_the_mask_are_never_read",
    CountsWidth: "more_padding_changes_nothing",
    EmptyIsMinusOne: "empty_completions_are_worth_nothing",
    NoGradient: "gradients_are_finite_and_stay_on_the_mask",
    MasksTooLate: "gradients_are_finite_and_stay_on_the_mask",
    FirstIsBest: "order_of_completions_changes_nothing",
    CentresOverPrompts: "other_prompts_change_nothing",
    SaysNone: "length_effect_is_true",
    MeanSaysSum: "length_effect_is_true",
    Flat: "returns_one_finite_number_a_completion",
    InPlace: "inputs_are_left_alone",
    Noisy: "aggregates_the_same_twice",
    Rounds: "keeps_the_precision",
    CountsTheAbsent: "absent_completions_change_nothing",
}


@pytest.mark.parametrize("aggregator", MUTATIONS, ids=lambda aggregator: aggregator.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    aggregator: type[Aggregator], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(AggregatorContract):
        def make(self) -> Aggregator:
            return aggregator()

    assert broken_laws(Contract) == {MUTATIONS[aggregator]}


def test_every_law_of_aggregators_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(AggregatorContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values()}
