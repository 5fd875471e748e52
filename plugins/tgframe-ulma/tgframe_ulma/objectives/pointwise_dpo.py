"""Point-wise DPO."""

from __future__ import annotations

import attrs

from tgframe_ulma.objectives.pointwise import PointwiseOptions


@attrs.frozen
class PointwiseDPO(PointwiseOptions):
    """Point-wise DPO: a label for each completion instead of pairs.

    With ``rhat`` the implicit reward plus the partition term: ``-log sigmoid(rhat)`` for the label 1,
    ``-log sigmoid(-rhat)`` for 0; ``(label - rhat)^2`` for continuous labels. Without a label nothing is learned.
    Source: Cai et al. 2023, ULMA: Unified Language Model Alignment (arXiv 2312.02554).
    """

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.balance and self.labels == "continuous":
            raise ValueError("`balance` must be false with `labels: continuous`, which has no classes. Leave it out.")
