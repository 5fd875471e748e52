"""Plain aggregators: sum and mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import in_

from tgframe.interfaces.aggregator import Aggregator

if TYPE_CHECKING:
    from torch import Tensor


@attrs.frozen
class Sum(Aggregator):
    """The sum of a completion's token values.

    ``e = sum_t r_t``. A longer completion has the larger value when all tokens are worth the same.
    """

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the sums, float ``[B,K]``."""
        return values.masked_fill(~mask, 0.0).sum(-1)

    def length_effect(self) -> Literal["sum"]:
        return "sum"

    def linear(self) -> bool:
        return True


@attrs.frozen
class Mean(Aggregator):
    """The mean of a completion's token values, times a length that all completions of its prompt share.

    ``e = (1/T) sum_t r_t * L`` with ``T`` the completion's marked positions and, for ``length: group``, ``L`` the mean
    of ``T`` over the prompt's completions; completions without a mark do not count. For ``length: none``, ``L = 1``.
    Source: the average of Yang et al. 2023, Preference-grounded Token-level Guidance.
    """

    length: Literal["group", "none"] = attrs.field(default="group", validator=in_(("group", "none")))
    """``group`` gives bounded values the magnitude of a sum, which a ranking loss can tell apart, without rewarding a
    completion for its own length; ``none`` leaves the plain mean."""

    def aggregate(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the means, float ``[B,K]``."""
        lengths = mask.sum(-1)
        sums = values.masked_fill(~mask, 0.0).sum(-1)
        if self.length == "none":
            return sums / lengths.clamp_min(1)
        shared = lengths.sum(-1, keepdim=True) / (lengths > 0).sum(-1, keepdim=True).clamp_min(1)
        # The share first: where all are of one length it is exactly 1, and the mean is the sum to the last bit.
        return sums * (shared / lengths.clamp_min(1))

    def length_effect(self) -> Literal["none"]:
        return "none"

    def linear(self) -> bool:
        return self.length == "none"
