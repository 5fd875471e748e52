"""Rankings: the Plackett-Luce loss, sub-rankings to learn from, and how well scores agree with preferences.

Leading axes (``...``) are groups: only the ``K`` entries of one group are ever compared.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RankingLoss(NamedTuple):
    """The loss of a batch of rankings, and how many of them it holds."""

    loss: Tensor
    """Scalar in nats, of the dtype of the scores: mean over the counted rankings; 0, still with a gradient (of zeros),
    when none counts."""
    counted: int
    """Rankings that say something."""
    skipped: int
    """Rankings that are wholly tied or have fewer than two valid judgments."""


class Agreement(NamedTuple):
    """How well scores agree with the true preference; each is a mean over the groups in which it is defined."""

    accuracy: float | None
    """Share of the pairs with a true order that the scores put in that order, equal scores counting half. None where no
    group has such a pair."""
    tau: float | None
    """Kendall's tau-b. None where in every group the truth or the scores are wholly tied."""


def plackett_luce(scores: Tensor, values: Tensor, valid: Tensor | None = None) -> RankingLoss:
    """Return the negative log-likelihood of the true order of ``K`` items under their scores.

    The likelihood is a product over the items: ``exp(score)`` of the item over the sum of ``exp(score)`` of all that
    are not ranked above it, itself and its ties included (Plackett 1975; ListMLE, Xia et al. 2008; ties as Breslow 1974
    has them). So tied items draw each other's scores together, nothing is random, and ``K = 2`` is Bradley-Terry.

    Args:
        scores: float ``[...,K]``, nats; carries the gradient.
        values: float ``[...,K]``, the true preference: higher is better, equal is a tie.
        valid: bool ``[...,K]``, False where a judgment is missing; such entries take no part. None means all valid.

    Raises:
        ValueError: when the shapes differ.
    """
    valid = _check(scores, values, valid)
    # Ascending, the missing ones last: then a running log-sum-exp from the left meets the denominators one by one, and
    # what is missing never enters one. Two tricks that this makes needless: a floor under the logarithm, and -inf.
    ranked, order = torch.where(valid, values, torch.inf).sort(dim=-1, stable=True)
    known = valid.gather(-1, order)
    # Double precision: a loss of 1e-9 beside scores of 60 does not exist in single precision.
    worth = torch.where(valid, scores, 0.0).double().gather(-1, order)
    denominators = torch.logcumsumexp(worth, dim=-1).gather(-1, _last_of_ties(ranked))
    counts = (valid.sum(-1) >= 2) & _differs(ranked, known)
    terms = torch.where(known & counts.unsqueeze(-1), denominators - worth, 0.0)
    counted = int(counts.sum())
    loss = terms.sum() / max(counted, 1)
    return RankingLoss(loss.to(scores.dtype), counted, counts.numel() - counted)


def subsets(size: int, k: int, count: int, generator: torch.Generator, batch: int) -> Tensor:
    """Draw random sub-rankings, int64 ``[B,count,k]``: each holds ``k`` different indices of ``0 .. size - 1``.

    They lie on the generator's device. Raises ValueError unless ``0 < k <= size``.
    """
    if not 0 < k <= size:
        raise ValueError(f"`k` must be between 1 and the {size} items there are, but is {k} instead.")
    keys = torch.rand(batch, count, size, generator=generator, device=generator.device)
    return keys.topk(k, dim=-1).indices


@torch.no_grad()
def agreement(scores: Tensor, values: Tensor, valid: Tensor | None = None) -> Agreement:
    """Compare scores with the true preference, pair by pair: float ``[...,K]`` both, ``valid`` bool ``[...,K]``.

    Pairs that are tied in truth do not count for the accuracy. Tau-b is (concordant - discordant) over the geometric
    mean of the pairs not tied in truth and the pairs not tied in the scores (Kendall 1945).
    """
    valid = _check(scores, values, valid)
    pairs = valid.unsqueeze(-1) & valid.unsqueeze(-2)
    true, found = _signs(values, pairs), _signs(scores, pairs)
    # Every pair is met twice, in both directions; that cancels in all the ratios below.
    agreed = (true * found).sum((-1, -2))
    ordered, told = true.abs().sum((-1, -2)), found.abs().sum((-1, -2))
    accuracy = (agreed / ordered + 1) / 2
    return Agreement(_mean(accuracy, ordered > 0), _mean(agreed / (ordered * told).sqrt(), (ordered > 0) & (told > 0)))


def _check(scores: Tensor, values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        valid = torch.ones_like(values, dtype=torch.bool)
    if not scores.shape == values.shape == valid.shape:
        raise ValueError(
            "`scores`, `values` and `valid` must have one shape [...,K], but have "
            f"{list(scores.shape)}, {list(values.shape)} and {list(valid.shape)} instead."
        )
    return valid


def _last_of_ties(ranked: Tensor) -> Tensor:
    """Return int64 ``[...,K]``: where the run of equals that each entry of the sorted ``ranked`` belongs to ends."""
    size = ranked.shape[-1]
    places = torch.arange(size, device=ranked.device).expand(ranked.shape)
    ends = torch.ones_like(ranked, dtype=torch.bool)
    ends[..., :-1] = ranked[..., 1:] != ranked[..., :-1]
    return torch.where(ends, places, size).flip(-1).cummin(-1).values.flip(-1)


def _differs(ranked: Tensor, known: Tensor) -> Tensor:
    """Return bool ``[...]``: whether the known entries (the first ones of the sorted ``ranked``) are not all equal."""
    return ((ranked[..., 1:] != ranked[..., :-1]) & known[..., 1:]).any(-1)


def _signs(numbers: Tensor, pairs: Tensor) -> Tensor:
    """Return float64 ``[...,K,K]``: the sign of each difference, 0 off ``pairs``."""
    signs = (numbers.unsqueeze(-1) > numbers.unsqueeze(-2)).double() - (
        numbers.unsqueeze(-1) < numbers.unsqueeze(-2)
    ).double()
    return torch.where(pairs, signs, 0.0)


def _mean(numbers: Tensor, defined: Tensor) -> float | None:
    return float(numbers[defined].mean()) if bool(defined.any()) else None
