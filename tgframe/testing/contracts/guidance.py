"""The laws of guidance models."""

from __future__ import annotations

import attrs
import pytest
import torch

from tgframe.interfaces.batch import Preferences, Rollouts
from tgframe.interfaces.guidance import GuidanceModel
from tgframe.interfaces.step import Guidance, Step
from tgframe.testing.contracts import comparing
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

    def test_values_every_marked_token(self) -> None:
        self.require(self.test_builds_its_interface)
        rollouts = self.rollouts()
        found = self.guidance().values(self.step(rollouts))
        assert isinstance(found, Guidance), "values() must return Guidance"
        shape = tuple(rollouts.mask.shape)
        assert tuple(found.values.shape) == shape, f"values must be [B,K,T] = {list(shape)}"
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
        assert judged.segment_values is not None
        wide = attrs.evolve(judged, segment_values=torch.nn.functional.pad(judged.segment_values, (0, 3)))
        found = self.guidance().values(self.step(comparing.with_other_padding(rollouts), wide))
        assert _same(found, expected), "other tokens off the mask changed the values"

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
        step = self.step(self.rollouts())
        step = make_step({*step.filled, "preferences", "aggregator"}, rollouts=step.rollouts)
        own = part.ground(step)
        loss = (
            own[0]
            if own is not None
            else (part.values(step).values * torch.linspace(0.5, 1.5, step.rollouts.k)[:, None]).sum()
        )
        assert loss.ndim == 0
        assert torch.isfinite(loss)
        reached = torch.autograd.grad(loss, parameters, allow_unused=True)
        assert any(gradient is not None and gradient.any() for gradient in reached), (
            "no trained parameter has a gradient"
        )
        assert all(torch.isfinite(gradient).all() for gradient in reached if gradient is not None)

    def _valued(self, rollouts: Rollouts, judged: Preferences) -> Guidance:
        """Return the values of guidance that keeps to the first two laws."""
        self.require(self.test_values_every_marked_token, self.test_values_the_same_twice)
        return self.guidance().values(self.step(rollouts, judged))


def _same(found: Guidance, expected: Guidance) -> bool:
    width = min(found.mask.shape[-1], expected.mask.shape[-1])
    tails = found.mask[..., width:].any() or expected.mask[..., width:].any()
    masks = torch.equal(found.mask[..., :width], expected.mask[..., :width])
    return masks and not tails and comparing.close(found.values.detach(), expected.values.detach())
