"""The bound of token values: known points, range, slope, honesty about NaN."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tgframe_tlg.guidance.bounds import RANGES, Bound, bounded


@pytest.mark.parametrize(
    ("raw", "value"), [(-5, 0.0067), (-1, 0.2807), (0, 0.5487), (1, 0.8583), (2, 1.0943), (20, 1.3133)]
)
def test_known_values_of_the_double_softplus(raw: float, value: float) -> None:
    assert float(bounded(torch.tensor(float(raw)), "softplus")) == pytest.approx(value, abs=5e-5)


def test_slope_at_the_start() -> None:
    raw = torch.zeros((), requires_grad=True)
    bounded(raw, "softplus").backward()
    assert raw.grad is not None
    assert float(raw.grad) == pytest.approx(0.3087, abs=5e-5)


def test_ranges() -> None:
    assert RANGES["softplus"] == pytest.approx((0.0, math.log(1 + math.e)))


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(["softplus", "sigmoid", "none"]), st.floats(-1e4, 1e4), st.floats(0, 100))
def test_stays_in_range_and_keeps_the_order(bound: Bound, raw: float, more: float) -> None:
    low, high = bounded(torch.tensor([raw, raw + more], dtype=torch.float64), bound).tolist()
    assert RANGES[bound][0] <= low <= high <= RANGES[bound][1] + 1e-7


@pytest.mark.parametrize("bound", ["softplus", "sigmoid", "none"])
def test_nan_stays_nan(bound: Bound) -> None:
    assert torch.isnan(bounded(torch.tensor(math.nan), bound))
