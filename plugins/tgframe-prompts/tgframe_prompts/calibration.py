"""Logits without the classifier's liking for some classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from tgframe_prompts.judge import Judge
from tgframe_prompts.reading import TRAIN

Calibrate = Literal["none", "mean-logit"]


def calibrated(judge: Judge, prompts: Sequence[str], split: str, index: Tensor | None, how: Calibrate) -> Tensor:
    """Return float32 ``[P,N,C]``; with ``mean-logit``, less each class's mean over train texts under the same prompt.

    Train judgments take the mean over the texts they see; other splits over all train texts, which are scored, and
    counted, where they are not known yet. No label is read.
    """
    logits = judge.logits(prompts, split, index)
    if how == "none":
        return logits
    prior = logits if split == TRAIN else judge.logits(prompts, TRAIN)
    return logits - prior.mean(1, keepdim=True)
