"""The laws of aggregators."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tgframe.interfaces.aggregator import Aggregator
from tgframe.testing.contracts import comparing
from tgframe.testing.contracts.specification import SpecificationContract


class AggregatorContract(SpecificationContract):
    """What every aggregator keeps to. Write ``make``."""

    kind = "aggregator"

    def values(self) -> tuple[Tensor, Tensor]:
        """Return float32 ``[B,K,T]`` values and mask: at least two groups of three, one completion without a mark."""
        generator = torch.Generator().manual_seed(0)
        values = torch.rand(3, 4, 6, generator=generator) * 1.3 + 0.01
        lengths = torch.tensor([[6, 3, 1, 4], [2, 5, 0, 6], [3, 3, 3, 3]])
        mask = torch.arange(6) < lengths.unsqueeze(-1)
        mask[2, 3] = torch.tensor([True, False, True, False, False, True])  # ends of segments
        return values, mask

    def aggregator(self) -> Aggregator:
        """Return the part."""
        part = self.part()
        assert isinstance(part, Aggregator)
        return part

    def test_returns_one_finite_number_a_completion(self) -> None:
        self.require(self.test_builds_its_interface)
        values, mask = self.values()
        found = self.aggregator().aggregate(values, mask)
        assert found.shape == values.shape[:2], f"must be [B,K] = {list(values.shape[:2])}, but is {list(found.shape)}"
        assert found.is_floating_point()
        assert found.device == values.device
        assert torch.isfinite(found).all()

    def test_keeps_the_precision(self) -> None:
        self.require(self.test_returns_one_finite_number_a_completion)
        values, mask = self.values()
        for dtype in (torch.float32, torch.float64):
            found = self.aggregator().aggregate(values.to(dtype), mask).dtype
            assert found == dtype, f"values are {dtype}, but the result is {found}"

    def test_empty_completions_are_worth_nothing(self) -> None:
        values, mask = self.values()
        found = self._aggregated(values, mask)
        empty = ~mask.any(-1)
        assert empty.any(), "values() must hold a completion without a mark"
        assert not found[empty].any(), f"a completion without a mark is worth 0, but got {found[empty].tolist()}"

    def test_values_off_the_mask_are_never_read(self) -> None:
        values, mask = self.values()
        expected = self._aggregated(values, mask)
        for junk in (torch.inf, -torch.inf, torch.nan, 1e30):
            found = self.aggregator().aggregate(values.masked_fill(~mask, junk), mask)
            assert comparing.close(found, expected), f"{junk} off the mask changed the result"

    def test_more_padding_changes_nothing(self) -> None:
        values, mask = self.values()
        wide = torch.nn.functional.pad(values, (0, 5), value=7.0)
        found = self.aggregator().aggregate(wide, torch.nn.functional.pad(mask, (0, 5)))
        assert comparing.close(found, self._aggregated(values, mask))

    def test_gradients_are_finite_and_stay_on_the_mask(self) -> None:
        values, mask = self.values()
        self._aggregated(values, mask)
        leaf = values.masked_fill(~mask, torch.nan).requires_grad_()
        self.aggregator().aggregate(leaf, mask).sum().backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None, "the result carries no gradient"
        assert torch.isfinite(leaf.grad).all(), "gradients must be finite, wholly masked rows included"
        assert not leaf.grad[~mask].any(), "gradients must be 0 off the mask"
        assert leaf.grad[mask].any(), "no value has any influence"

    def test_order_of_completions_changes_nothing(self) -> None:
        values, mask = self.values()
        expected = self._aggregated(values, mask)
        for order in comparing.permutations(values.shape[1]):
            found = self.aggregator().aggregate(values[:, order], mask[:, order])
            assert comparing.close(found, expected[:, order]), f"values must follow their completions into {order}"

    def test_other_prompts_change_nothing(self) -> None:
        values, mask = self.values()
        expected = self._aggregated(values, mask)
        for b in range(len(values)):
            found = self.aggregator().aggregate(values[b : b + 1], mask[b : b + 1])
            assert comparing.close(found, expected[b : b + 1]), f"group {b} is worth something else when it is alone"

    def test_absent_completions_change_nothing(self) -> None:
        values, mask = self.values()
        expected = self._aggregated(values, mask)
        more = torch.nn.functional.pad(values, (0, 0, 0, 1)), torch.nn.functional.pad(mask, (0, 0, 0, 1))
        found = self.aggregator().aggregate(*more)[:, :-1]
        assert comparing.close(found, expected), "in a group that is filled up, the others are worth something else"

    def test_length_effect_is_true(self) -> None:
        lengths = torch.tensor([[2, 4, 8]])
        mask = torch.arange(8) < lengths.unsqueeze(-1)
        part = self.aggregator()
        effect = part.length_effect()
        assert effect in ("none", "sum", "biased")
        found = self._aggregated(torch.full(mask.shape, 0.7), mask)[0]
        if effect == "none":
            assert comparing.close(found, found[0].expand(3)), (
                f"length_effect() is 'none', but lengths 2, 4, 8: {found}"
            )
        if effect == "sum":
            assert comparing.close(found / found[0], lengths[0] / 2), f"length_effect() is 'sum', but 2, 4, 8: {found}"

    def test_linear_is_true(self) -> None:
        part = self.aggregator()
        assert isinstance(part.linear(), bool)
        if not part.linear():
            pytest.skip("does not claim to be linear")
        values, mask = self.values()
        found, sums = self._aggregated(values, mask), values.masked_fill(~mask, 0.0).sum(-1)
        means = sums / mask.sum(-1).clamp_min(1)
        assert comparing.close(found, sums) or comparing.close(found, means), "neither the sum nor the plain mean"

    def test_inputs_are_left_alone(self) -> None:
        values, mask = self.values()
        before = values.clone(), mask.clone()
        self._aggregated(values, mask)
        assert torch.equal(values, before[0])
        assert torch.equal(mask, before[1])

    def test_aggregates_the_same_twice(self) -> None:
        self.require(self.test_returns_one_finite_number_a_completion)
        values, mask = self.values()
        assert torch.equal(self.aggregator().aggregate(values, mask), self.aggregator().aggregate(values, mask))

    def _aggregated(self, values: Tensor, mask: Tensor) -> Tensor:
        """Aggregate with an aggregator that keeps to the first two laws."""
        self.require(self.test_returns_one_finite_number_a_completion, self.test_aggregates_the_same_twice)
        return self.aggregator().aggregate(values, mask)
