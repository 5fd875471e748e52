"""The grounding loss of a batch of which each process has some groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs
import torch
from torch import Tensor

from tgframe.engine.means import Means
from tgframe.engine.ranking import plackett_luce

if TYPE_CHECKING:
    from tgframe.interfaces.batch import Preferences
    from tgframe.runtime.processes import Processes


class WholeLoss(NamedTuple):
    """The loss of the whole batch, without gradient."""

    loss: float
    logs: dict[str, Any]
    weight: float
    """What the parts of all processes weigh."""
    learns: bool
    """Whether any part has a gradient."""


@attrs.frozen(eq=False)
class PartLoss:
    """The loss of the groups of one process."""

    loss: Tensor
    """Scalar, with gradient to the guidance."""
    logs: dict[str, Any]
    """Numbers for the metrics: whole ones are counts, the others means."""
    weight: float
    """What the loss is a mean over: rankings, or the prompts where the guidance has a loss of its own."""

    @classmethod
    def given(cls, found: tuple[Tensor, Mapping[str, float]], prompts: int) -> PartLoss:
        """Return what :meth:`tgframe.interfaces.guidance.GuidanceModel.ground` gave for so many prompts."""
        return cls(found[0], dict(found[1]), float(prompts))

    @classmethod
    def ranked(cls, scores: Tensor, preferences: Preferences, rankings: Tensor | None) -> PartLoss:
        """Return the ranking loss of aggregated values ``[b,K]``."""
        loss, logs = ranking_loss(scores, preferences, rankings)
        return cls(loss, logs, float(logs["rankings"]))

    def of_all(self, processes: Processes) -> WholeLoss:
        """Return the loss of the whole batch: the mean by weight over all processes."""
        value, learns = float(self.loss.detach()), self.loss.requires_grad
        if processes.alone:
            return WholeLoss(value, self.logs, 1.0, learns)
        found = [WholeLoss(*given) for given in processes.gather((value, self.logs, self.weight, learns))]
        counts: dict[str, int] = {}
        means = Means()
        for part in found:
            whole = {name: number for name, number in part.logs.items() if isinstance(number, int)}
            counts |= {name: counts.get(name, 0) + number for name, number in whole.items()}
            logs = {name: number for name, number in part.logs.items() if name not in whole}
            means.add({"loss": part.loss, **logs}, part.weight)
        logs = means.values()
        return WholeLoss(logs.pop("loss"), logs | counts, means.weight, any(part.learns for part in found))


def ranking_loss(scores: Tensor, preferences: Preferences, rankings: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """Return the Plackett-Luce loss of aggregated values ``[B,K]``: whole groups, or their ``rankings`` ``[B,M,J]``."""
    values, valid = preferences.values, preferences.valid
    if rankings is not None:
        groups = torch.arange(len(scores), device=scores.device)[:, None, None]
        scores, values, valid = scores[groups, rankings], values[groups, rankings], valid[groups, rankings]
    found = plackett_luce(scores, values, valid)
    return found.loss, {"rankings": found.counted, "rankings_skipped": found.skipped}
