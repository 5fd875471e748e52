"""The laws of guidance models."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
import torch
from torch import Tensor

from tgframe.interfaces.batch import Preferences, Rollouts
from tgframe.interfaces.guidance import GuidanceModel
from tgframe.interfaces.step import Guidance, Step
from tgframe.testing.contracts import chance, comparing, state
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.step import make_preferences, make_step, make_step_rollouts


class GuidanceContract(SpecificationContract):
    """What every guidance model keeps to. Write ``make``. Steps hold exactly what ``needs()`` names."""

    kind = "guidance"

    def rollouts(self) -> Rollouts:
        """Return at least two prompts with at least three completions each."""
        return make_step_rollouts(TabularPolicy())

    def guidance(self) -> GuidanceModel:
        """Return the part, in evaluation mode."""
        part = self.part()
        assert isinstance(part, GuidanceModel)
        if isinstance(part, torch.nn.Module):
            part.eval()
        return part

    def step(self, rollouts: Rollouts, preferences: Preferences | None = None) -> Step:
        """Return a step over ``rollouts`` with what the guidance needs."""
        return make_step(
            self.make().needs() | {"rollouts"},
            rollouts=rollouts,
            preferences=preferences,
            reader=type(self.make()).__name__,
        )

    def grounding_step(self, rollouts: Rollouts, preferences: Preferences | None = None) -> Step:
        """Return a step as grounding has it: with preferences and aggregator too."""
        return make_step(
            self.make().needs() | {"rollouts", "preferences", "aggregator"},
            rollouts=rollouts,
            preferences=preferences,
            reader=type(self.make()).__name__,
        )

    def test_values_every_marked_token(self) -> None:
        self.require(self.test_builds_its_interface)
        rollouts = self.rollouts()
        found = self.guidance().values(self.step(rollouts))
        assert isinstance(found, Guidance), "values() must return Guidance"
        shape = tuple(rollouts.mask.shape)
        assert tuple(found.values.shape) == shape, f"values must be [B,K,T] = {list(shape)}"
        assert found.values.is_floating_point(), f"values must be floating-point, but are {found.values.dtype}"
        assert torch.isfinite(found.values).all(), "values must be finite: hard constraints travel as preferences"
        assert not found.values[~found.mask].any(), "values must be 0 off their mask"
        assert not (found.mask & ~rollouts.mask).any(), "only real tokens can carry a value"
        assert found.mask.any(-1)[rollouts.mask.any(-1)].all(), (
            "a completion without a single value cannot be aggregated"
        )

    def test_values_the_same_twice(self) -> None:
        self.require(self.test_values_every_marked_token)
        rollouts = self.rollouts()
        part = self.guidance()
        first = part.values(self.step(rollouts))
        assert _same(part.values(self.step(rollouts)), first), "asked again, the values differ"
        assert _same(self.guidance().values(self.step(rollouts)), first), "built again, the values differ"

    def test_order_of_completions_changes_nothing(self) -> None:
        rollouts = self.rollouts()
        judged = make_preferences(rollouts)
        expected = self._valued(rollouts, judged)
        for order in comparing.permutations(rollouts.k):
            index = torch.tensor([order] * len(rollouts.prompts))
            found = self.guidance().values(self.step(rollouts.select(index), judged.select(index)))
            followed = Guidance(expected.values[:, order], expected.mask[:, order])
            assert _same(found, followed), f"values must follow their completions into the order {order}"

    def test_padding_changes_nothing(self) -> None:
        rollouts = self.rollouts()
        judged = make_preferences(rollouts)
        expected = self._valued(rollouts, judged)
        found = self.guidance().values(self.step(comparing.with_other_padding(rollouts), comparing.widened(judged)))
        assert _same(found, expected), "other tokens off the mask changed the values"

    def test_other_prompts_change_nothing(self) -> None:
        rollouts = self.rollouts()
        judged = make_preferences(rollouts)
        expected = self._valued(rollouts, judged)
        for b in range(len(rollouts.prompts)):
            found = self.guidance().values(self.step(rollouts.rows([b]), comparing.row_of(judged, b)))
            alone = Guidance(expected.values[b : b + 1], expected.mask[b : b + 1])
            assert _same(found, alone), f"completions of prompt {b} have other values when they are alone"

    def test_absent_completions_have_no_values(self) -> None:
        self.require(self.test_values_every_marked_token)
        rollouts = comparing.without_last(self.rollouts())
        found = self.guidance().values(self.step(rollouts))
        assert torch.isfinite(found.values).all(), "a group with an absent completion has values that are not finite"
        assert not found.mask[:, -1].any(), "an absent completion has no token that could carry a value"
        assert not found.values[:, -1].any(), "values must be 0 where a completion is absent"

    def test_inputs_are_left_alone(self) -> None:
        self.require(self.test_values_every_marked_token)
        step = self.step(self.rollouts())
        before = comparing.snapshot(step)
        self.guidance().values(step)
        assert state.same(comparing.snapshot(step), before), "values() changed in place what it was given"

    def test_draws_from_no_global_generator(self) -> None:
        self.require(self.test_values_the_same_twice)
        part, step = self.guidance(), self.step(self.rollouts())
        before = chance.stirred()
        part.values(step)
        assert chance.global_state() == before, "values() drew from a global generator, or seeded it"

    def test_gradient_goes_where_it_is_said_to_go(self) -> None:
        self.require(self.test_values_every_marked_token)
        part = self.guidance()
        step = self.step(self.rollouts())
        values = part.values(step).values
        says = bool(getattr(self.make(), "differentiable", False))
        assert says == part.differentiable, (
            f"`differentiable` is {part.differentiable} on the part, {says} in the recipe"
        )
        if part.differentiable:
            asked = [
                step.filled[name]
                for name in ("policy_logprobs", "policy_entropy", "policy_hidden")
                if name in step.filled
            ]
            assert asked, "differentiable guidance must need something of the policy"
            reached = torch.autograd.grad(values.sum(), asked, allow_unused=True)
            assert any(gradient is not None for gradient in reached), "no gradient reaches the policy"

    def test_every_trained_parameter_is_reached(self) -> None:
        self.require(self.test_values_every_marked_token)
        part = self.guidance()
        parameters = part.trainable()
        if not parameters:
            pytest.skip("nothing to train")
        step = self.grounding_step(self.rollouts())
        own = part.ground(step)
        loss = (
            own[0]
            if own is not None
            else (part.values(step).values * torch.linspace(0.5, 1.5, step.rollouts.k)[:, None]).sum()
        )
        reached = torch.autograd.grad(loss.sum(), parameters, allow_unused=True)
        assert any(gradient is not None and gradient.any() for gradient in reached), (
            "no trained parameter has a gradient"
        )
        assert all(torch.isfinite(gradient).all() for gradient in reached if gradient is not None)

    def test_own_loss_comes_with_numbers(self) -> None:
        loss, logs = self._grounded(self.rollouts())
        assert loss.ndim == 0, f"a grounding loss must be a scalar, but has the shape {list(loss.shape)}"
        assert torch.isfinite(loss)
        _check_logs(logs)

    def test_own_loss_ignores_order_and_padding(self) -> None:
        self.require(self.test_values_the_same_twice, self.test_own_loss_comes_with_numbers)
        rollouts = self.rollouts()
        judged = make_preferences(rollouts)
        expected = self._grounded(rollouts, judged)[0]
        for order in comparing.permutations(rollouts.k):
            index = torch.tensor([order] * len(rollouts.prompts))
            found = self._grounded(rollouts.select(index), judged.select(index))[0]
            assert comparing.close(found[None], expected[None]), f"in the order {order}, the grounding loss differs"
        found = self._grounded(comparing.with_other_padding(rollouts), comparing.widened(judged))[0]
        assert comparing.close(found[None], expected[None]), "with other padding, the grounding loss differs"

    def test_own_loss_reads_no_missing_judgment(self) -> None:
        self.require(self.test_values_the_same_twice, self.test_own_loss_comes_with_numbers)
        rollouts = self.rollouts()
        judged = make_preferences(rollouts)
        expected = self._grounded(rollouts, judged)[0]
        other = attrs.evolve(judged, values=judged.values.masked_fill(~judged.valid, 99.0))
        found = self._grounded(rollouts, other)[0]
        assert comparing.close(found[None], expected[None]), "a value that is not valid changed the grounding loss"
        nothing = attrs.evolve(judged, valid=torch.zeros_like(judged.valid))
        assert torch.isfinite(self._grounded(rollouts, nothing)[0]), "without any judgment the loss must be finite"

    def test_fits_without_breaking(self) -> None:
        self.require(self.test_values_every_marked_token)
        part, rollouts = self.guidance(), self.rollouts()
        _check_logs(part.fit(iter([self.grounding_step(rollouts), self.grounding_step(rollouts)])))
        assert torch.isfinite(part.values(self.step(rollouts)).values).all(), "once fitted, values are not finite"

    def test_joint_loss_reaches_joint_parameters(self) -> None:
        self.require(self.test_values_every_marked_token)
        part = self.guidance()
        loss = part.improve_loss(self.step(self.rollouts()))
        if loss is None:
            pytest.skip("adds nothing to the improvement loss")
        assert loss.ndim == 0
        assert torch.isfinite(loss)
        parameters = part.joint()
        reached = torch.autograd.grad(loss, parameters, allow_unused=True) if parameters else ()
        assert any(gradient is not None and gradient.any() for gradient in reached), (
            "improve_loss() trains nothing: joint() names the parameters that it is for"
        )

    def _grounded(self, rollouts: Rollouts, judged: Preferences | None = None) -> tuple[Tensor, Mapping[str, float]]:
        """Return the guidance's own grounding loss; skip the law where it has none."""
        self.require(self.test_values_every_marked_token)
        found = self.guidance().ground(self.grounding_step(rollouts, judged))
        if found is None:
            pytest.skip("leaves its loss to the engine")
        return found[0].detach(), found[1]

    def _valued(self, rollouts: Rollouts, judged: Preferences) -> Guidance:
        """Return the values of guidance that keeps to the first two laws."""
        self.require(self.test_values_every_marked_token, self.test_values_the_same_twice)
        return self.guidance().values(self.step(rollouts, judged))


def _check_logs(logs: Mapping[str, float]) -> None:
    assert isinstance(logs, Mapping), f"logs are a mapping, not {type(logs).__name__}"
    for name, value in logs.items():
        assert isinstance(name, str)
        assert torch.as_tensor(value).numel() == 1, f"log {name!r} must be a number"
        assert not torch.as_tensor(value).requires_grad, f"log {name!r} must be detached"


def _same(found: Guidance, expected: Guidance) -> bool:
    width = min(found.mask.shape[-1], expected.mask.shape[-1])
    tails = found.mask[..., width:].any() or expected.mask[..., width:].any()
    masks = torch.equal(found.mask[..., :width], expected.mask[..., :width])
    return masks and not tails and comparing.close(found.values.detach(), expected.values.detach())
