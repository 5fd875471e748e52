"""Losses of single completions, from their own labels."""

from __future__ import annotations

import attrs
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tgframe import Step
from tgframe_ulma.labels import positive, require_good
from tgframe_ulma.logs import accuracy, counts, means
from tgframe_ulma.pairs import judged

REMEDY = " Where labels are ratings, write `objective.labels: continuous`."


@attrs.frozen(eq=False)
class Points:
    """What a label model makes of a batch."""

    losses: Tensor
    """float ``[B,K]``; read where ``groups`` are True."""
    groups: tuple[Tensor, ...]
    """Disjoint classes, each bool ``[B,K]``: what ``balance`` averages by itself."""
    logs: dict[str, Tensor | float]


def binary(step: Step, reward: Tensor, shifted: Tensor, shown: Tensor, rest: Tensor) -> Points:
    """Return ``-log sigmoid(rhat)`` for the label 1, ``-log sigmoid(-rhat)`` for 0.

    ``reward`` and ``shifted`` (``rhat``, with the partition term) float ``[B,K]``; ``shown`` bool ``[B,K]`` are
    demonstrations, ``rest`` all others that teach. Raises :class:`~tgframe.DataError` for other labels, and for
    demonstrations with the label 0.
    """
    good = positive(step, REMEDY)
    require_good(step, shown, good)
    good = good | shown
    right = torch.where(good, shifted, -shifted)
    groups = (good & (rest | shown), rest & ~good)
    logs: dict[str, Tensor | float] = {
        **means(reward, {"reward_positive": groups[0], "reward_negative": groups[1]}),
        **accuracy(right.detach(), groups[0] | groups[1], "accuracy"),
        **counts({"positives": groups[0], "negatives": groups[1]}),
    }
    return Points(-logsigmoid(right), groups, logs)


def continuous(step: Step, reward: Tensor, shifted: Tensor, shown: Tensor, rest: Tensor) -> Points:
    """Return ``(label - rhat)^2``; arguments are those of :func:`binary`."""
    labels = step.preferences.values.masked_fill(~judged(step), 0.0)
    missed = labels - shifted
    logs: dict[str, Tensor | float] = {
        **means(missed.abs(), {"residual": rest}),
        **means(reward, {"reward_rest": rest}),
        **counts({"rated": rest}),
    }
    return Points(missed.square(), (shown, rest), logs)
