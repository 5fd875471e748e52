"""Keeps token values in a range, so that no aggregate can win by one runaway token."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

Bound = Literal["softplus", "sigmoid", "none"]

FLOOR = 1e-8

RANGES: dict[Bound, tuple[float, float]] = {
    "softplus": (0.0, math.log1p(math.e)),
    "sigmoid": (0.0, 1.0),
    "none": (-math.inf, math.inf),
}
"""The open interval in which values lie."""


def bounded(raw: Tensor, bound: Bound) -> Tensor:
    """Return the values of raw head outputs, of any shape. NaN stays NaN: divergence is not hidden.

    ``softplus`` is the paper's own: twice a softplus, the first upside down, which gives (0, log(1 + e)) = (0, 1.3133)
    and 0.5487 with slope 0.3087 at 0.
    """
    if bound == "softplus":
        capped = 1 - softplus(1 - raw)
        return FLOOR + softplus(capped - FLOOR)
    return raw.sigmoid() if bound == "sigmoid" else raw
