"""The laws of language-model objectives."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
import torch
from torch import Tensor

from tgframe.errors import did_you_mean
from tgframe.interfaces.batch import Preferences, Rollouts
from tgframe.interfaces.objective import LMObjective
from tgframe.interfaces.step import FIELDS, Guidance, Step
from tgframe.testing.contracts import chance, comparing, state
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.step import make_preferences, make_step, make_step_rollouts, make_values


class ObjectiveContract(SpecificationContract):
    """What every objective keeps to. Write ``make``. Steps hold exactly what ``needs()`` names."""

    kind = "objective"

    def objective(self) -> tuple[LMObjective, TabularPolicy]:
        """Return the part, prepared, and the policy that it was built with."""
        context = self.context()
        part = self.part(context)
        assert isinstance(part, LMObjective)
        part.prepare(context.policy)
        assert isinstance(context.policy, TabularPolicy)
        return part, context.policy

    def step(
        self,
        policy: TabularPolicy,
        rollouts: Rollouts | None = None,
        preferences: Preferences | None = None,
        guidance: Guidance | None = None,
    ) -> Step:
        """Return a step with what the objective needs; values carry gradient where it needs ``differentiable``."""
        rollouts = rollouts or make_step_rollouts(policy)
        if guidance is None:
            guidance = make_values(rollouts)
        if "differentiable" in self.make().needs():
            guidance = Guidance(guidance.values * policy.score(rollouts).logprobs, guidance.mask)
        needs = self.make().needs()
        return make_step(
            needs,
            policy=policy,
            rollouts=rollouts,
            preferences=preferences,
            guidance=guidance,
            reader=type(self.make()).__name__,
        )

    def test_needs_are_spelled_as_a_step_has_them(self) -> None:
        for need in self.make().needs():
            where, _, field = need.rpartition(".")
            assert where in ("", "targets", "streams"), f"needs() names {need!r}: a step has no {where!r}"
            hint = did_you_mean(field, FIELDS)
            promised = not where and not hint  # by another part: "exact", "differentiable"
            assert field in FIELDS or promised, f"needs() names {need!r}, which no step has.{hint}"

    def test_loss_is_a_finite_scalar_with_gradient(self) -> None:
        self.require(self.test_builds_its_interface)
        part, policy = self.objective()
        loss, logs = part.loss(self.step(policy))
        assert loss.ndim == 0, f"the loss must be a scalar, but has the shape {list(loss.shape)}"
        assert torch.isfinite(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        assert policy.table.grad is not None, "no gradient reaches the policy"
        assert torch.isfinite(policy.table.grad).all()
        assert policy.table.grad.any(), "the gradient is 0 everywhere"
        assert isinstance(logs, Mapping)
        for name, value in logs.items():
            assert isinstance(name, str)
            assert torch.as_tensor(value).numel() == 1, f"log {name!r} must be a number"
            assert not torch.as_tensor(value).requires_grad, f"log {name!r} must be detached"

    def test_own_parameters_learn(self) -> None:
        self.require(self.test_loss_is_a_finite_scalar_with_gradient)
        part, policy = self.objective()
        parameters = part.trainable()
        if not parameters:
            pytest.skip("no parameters of its own")
        gradients = torch.autograd.grad(part.loss(self.step(policy))[0], parameters, allow_unused=True)
        assert any(gradient is not None for gradient in gradients), "none of trainable() is part of the loss"

    def test_loss_is_the_same_twice(self) -> None:
        self.require(self.test_loss_is_a_finite_scalar_with_gradient)
        assert torch.equal(self._loss(), self._loss()), "built again, the loss differs"

    def test_order_of_completions_changes_nothing(self) -> None:
        self.require(self.test_loss_is_the_same_twice, self.test_step_is_left_alone)
        policy = self.objective()[1]
        rollouts = make_step_rollouts(policy)
        judged, valued = make_preferences(rollouts), make_values(rollouts)
        expected = self._loss(rollouts, judged, valued)
        for order in comparing.permutations(rollouts.k):
            index = torch.tensor([order] * len(rollouts.prompts))
            moved = Guidance(valued.values[:, order], valued.mask[:, order])
            found = self._loss(rollouts.select(index), judged.select(index), moved)
            assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5), f"order {order}: {expected} became {found}"

    def test_padding_changes_nothing(self) -> None:
        self.require(self.test_loss_is_the_same_twice, self.test_step_is_left_alone)
        policy = self.objective()[1]
        rollouts = make_step_rollouts(policy)
        judged, valued = make_preferences(rollouts), make_values(rollouts)
        expected = self._loss(rollouts, judged, valued)
        wide = torch.nn.functional.pad(valued.values, (0, 3))
        padded = comparing.with_other_padding(rollouts)
        found = self._loss(padded, comparing.widened(judged), Guidance(wide, padded.mask))
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5), f"{expected} became {found}"

    def test_step_is_left_alone(self) -> None:
        self.require(self.test_loss_is_a_finite_scalar_with_gradient)
        part, policy = self.objective()
        step = self.step(policy)
        before = comparing.snapshot(step)
        part.loss(step)
        assert state.same(comparing.snapshot(step), before), "loss() changed in place what it was given"

    def test_draws_from_no_global_generator(self) -> None:
        self.require(self.test_loss_is_the_same_twice)
        part, policy = self.objective()
        step = self.step(policy)
        before = chance.stirred()
        part.loss(step)
        assert chance.global_state() == before, "loss() drew from a global generator, or seeded it"

    def test_absent_completions_are_survived(self) -> None:
        self.require(self.test_loss_is_a_finite_scalar_with_gradient)
        part, policy = self.objective()
        rollouts = comparing.without_last(make_step_rollouts(policy))
        judged = make_preferences(rollouts)
        judged = attrs.evolve(judged, valid=judged.valid & rollouts.present)
        loss, _ = part.loss(self.step(policy, rollouts, judged))
        assert torch.isfinite(loss), "with a completion that is absent, the loss must still be finite"
        loss.backward()  # type: ignore[no-untyped-call]
        assert policy.table.grad is None or torch.isfinite(policy.table.grad).all(), "its gradient must be finite, too"

    def test_groups_without_judgment_are_survived(self) -> None:
        self.require(self.test_loss_is_a_finite_scalar_with_gradient)
        if "preferences" not in self.make().needs():
            pytest.skip("reads no preferences")
        part, policy = self.objective()
        rollouts = make_step_rollouts(policy)
        judged = make_preferences(rollouts)
        nothing = attrs.evolve(judged, valid=torch.zeros_like(judged.valid))
        loss, _ = part.loss(self.step(policy, rollouts, nothing))
        assert torch.isfinite(loss), "without any judgment the loss must still be finite"
        assert loss.requires_grad, "without any judgment the loss must still be attached to the policy"
        loss.backward()  # type: ignore[no-untyped-call]
        assert policy.table.grad is None or torch.isfinite(policy.table.grad).all()

    def test_missing_judgments_are_not_read(self) -> None:
        self.require(self.test_loss_is_the_same_twice, self.test_step_is_left_alone)
        if "preferences" not in self.make().needs():
            pytest.skip("reads no preferences")
        rollouts = make_step_rollouts(self.objective()[1])
        judged = make_preferences(rollouts)
        judged = attrs.evolve(judged, valid=judged.valid & (torch.arange(rollouts.k) > 0))
        expected = self._loss(rollouts, judged)
        found = self._loss(rollouts, attrs.evolve(judged, values=judged.values.masked_fill(~judged.valid, 99.0)))
        assert torch.allclose(found, expected), f"a value that is not valid changed the loss from {expected} to {found}"

    def _loss(
        self,
        rollouts: Rollouts | None = None,
        preferences: Preferences | None = None,
        guidance: Guidance | None = None,
    ) -> Tensor:
        """Return the detached loss of a fresh objective."""
        part, policy = self.objective()
        return part.loss(self.step(policy, rollouts, preferences, guidance))[0].detach()
