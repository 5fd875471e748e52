"""One planted violation for each law of objectives makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor, nn

from tgframe import Context, LMObjective, Specification, Step
from tgframe.testing import ObjectiveContract

Loss = tuple[Tensor, Mapping[str, Any]]


@attrs.frozen
class Bandit(LMObjective):
    """REINFORCE with one judgment a completion."""

    def needs(self) -> frozenset[str]:
        return frozenset({"preferences", "policy_logprobs"})

    def loss(self, step: Step) -> Loss:
        judged = step.preferences
        each = judged.values.masked_fill(~judged.valid, 0.0) * step.policy_logprobs.sum(-1)
        return -each.sum() / judged.valid.sum().clamp_min(1), {"judged": judged.valid.float().mean()}


class TestBandit(ObjectiveContract):
    def make(self) -> Bandit:
        return Bandit()


@attrs.frozen
class AsksForTooMuch(Bandit):
    """Needs what no step has."""

    def needs(self) -> frozenset[str]:
        return super().needs() | {"policy_logits"}


@attrs.frozen
class AsksTheTargetsForTooMuch(Bandit):
    """Needs of the targets what they do not have."""

    def needs(self) -> frozenset[str]:
        return super().needs() | {"targets.exact"}


@attrs.frozen
class AsksForTooLittle(Bandit):
    """Forgets to ask."""

    def needs(self) -> frozenset[str]:
        return frozenset({"preferences"})


@attrs.frozen
class NotScalar(Bandit):
    """Returns one loss a completion."""

    def loss(self, step: Step) -> Loss:
        return step.policy_logprobs.sum(-1), {}


@attrs.frozen
class Detached(Bandit):
    """Learns nothing."""

    def loss(self, step: Step) -> Loss:
        return super().loss(step)[0].detach().requires_grad_(), {}


@attrs.frozen
class LogsWithGradient(Bandit):
    """Keeps the graph alive in its logs."""

    def loss(self, step: Step) -> Loss:
        loss, _ = super().loss(step)
        return loss, {"loss": loss}


@attrs.frozen
class FirstIsBest(Bandit):
    """Learns from the first completion alone."""

    def loss(self, step: Step) -> Loss:
        return super().loss(step)[0] - step.policy_logprobs[:, 0].sum(), {}


@attrs.frozen
class CountsWidth(Bandit):
    """Averages over padding."""

    def loss(self, step: Step) -> Loss:
        return super().loss(step)[0] / step.policy_logprobs.shape[-1], {}


@attrs.frozen
class DividesByNothing(Bandit):
    """Divides by the number of judgments, also when there is none."""

    def loss(self, step: Step) -> Loss:
        judged = step.preferences
        each = judged.values.masked_fill(~judged.valid, 0.0) * step.policy_logprobs.sum(-1)
        return -each.sum() / judged.valid.sum(), {}


@attrs.frozen
class GivesUp(Bandit):
    """Returns a plain 0 where nothing is judged."""

    def loss(self, step: Step) -> Loss:
        return super().loss(step) if step.preferences.valid.any() else (torch.tensor(0.0), {})


@attrs.frozen
class ReadsMissing(Bandit):
    """Reads judgments that are not there."""

    def loss(self, step: Step) -> Loss:
        each = step.preferences.values * step.policy_logprobs.sum(-1)
        return -each.mean(), {}


@attrs.frozen
class Noisy(Bandit):
    """Adds noise to the loss."""

    def loss(self, step: Step) -> Loss:
        return super().loss(step)[0] * (1 + random.random()), {}


@attrs.frozen
class SeedsGlobally(Bandit):
    """Seeds torch for everybody."""

    def loss(self, step: Step) -> Loss:
        torch.manual_seed(0)
        return super().loss(step)


@attrs.frozen
class CentresInPlace(Bandit):
    """Centres the judgments where they lie."""

    def loss(self, step: Step) -> Loss:
        loss = super().loss(step)
        step.preferences.values.sub_(1.0)
        return loss


@attrs.frozen
class AveragesTheAbsent(Bandit):
    """Divides by the length of a completion, also when it is absent."""

    def loss(self, step: Step) -> Loss:
        judged = step.preferences
        each = judged.values.masked_fill(~judged.valid, 0.0) * step.policy_logprobs.sum(-1) / step.rollouts.lengths
        return -each.sum() / judged.valid.sum().clamp_min(1), {}


@attrs.frozen
class IdleConstant(Specification[LMObjective]):
    """Has a parameter that is not part of its loss."""

    def needs(self) -> frozenset[str]:
        return Bandit().needs()

    def build(self, context: Context) -> LMObjective:
        return IdlePart()


class IdlePart(nn.Module, LMObjective):
    def __init__(self) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.zeros(()))

    def loss(self, step: Step) -> Loss:
        return Bandit().loss(step)

    def trainable(self) -> list[nn.Parameter]:
        return [self.constant]


MUTATIONS: dict[type[Specification[LMObjective]], str] = {
    AsksForTooMuch: "needs_are_spelled_as_a_step_has_them",
    AsksTheTargetsForTooMuch: "needs_are_spelled_as_a_step_has_them",
    AsksForTooLittle: "loss_is_a_finite_scalar_with_gradient",
    NotScalar: "loss_is_a_finite_scalar_with_gradient",
    Detached: "loss_is_a_finite_scalar_with_gradient",
    LogsWithGradient: "loss_is_a_finite_scalar_with_gradient",
    FirstIsBest: "order_of_completions_changes_nothing",
    CountsWidth: "padding_changes_nothing",
    DividesByNothing: "groups_without_judgment_are_survived",
    GivesUp: "groups_without_judgment_are_survived",
    ReadsMissing: "missing_judgments_are_not_read",
    Noisy: "loss_is_the_same_twice",
    IdleConstant: "own_parameters_learn",
    SeedsGlobally: "draws_from_no_global_generator",
    CentresInPlace: "step_is_left_alone",
    AveragesTheAbsent: "absent_completions_are_survived",
}


@pytest.mark.parametrize("objective", MUTATIONS, ids=lambda objective: objective.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    objective: type[Specification[LMObjective]], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(ObjectiveContract):
        def make(self) -> Specification[LMObjective]:
            return objective()

    assert broken_laws(Contract) == {MUTATIONS[objective]}


@attrs.frozen
class Imitates(LMObjective):
    """Maximum likelihood of the targets."""

    wide: bool = False
    """Average over padding too."""

    def needs(self) -> frozenset[str]:
        return frozenset({"targets", "targets.policy_logprobs"})

    def loss(self, step: Step) -> Loss:
        logprobs = step.targets.policy_logprobs
        return -logprobs.mean() if self.wide else -logprobs[step.targets.rollouts.mask].mean(), {}


@pytest.mark.parametrize(("wide", "broken"), [(False, set()), (True, {"padding_changes_nothing"})])
def test_padding_of_targets_is_looked_at(wide: bool, broken: set[str], broken_laws: Callable[[type], set[str]]) -> None:
    class Contract(ObjectiveContract):
        def make(self) -> Imitates:
            return Imitates(wide)

    assert broken_laws(Contract) == broken


def test_every_law_of_objectives_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(ObjectiveContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values()}
