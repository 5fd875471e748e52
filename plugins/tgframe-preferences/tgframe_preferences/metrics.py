"""How well numbers agree with judgments: pairs in the right order, area under the ROC curve, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs
import torch
from torch import Tensor


@attrs.frozen
class Judged:
    """The completions of one row with what they are worth, to the data and to whoever is evaluated."""

    worth: tuple[float | None, ...]
    """What orders them in the data, higher is better; None is missing."""
    found: tuple[float, ...]
    """What is to be evaluated."""
    labels: tuple[float | None, ...] | None = None


def margins(rows: Iterable[Judged]) -> Tensor:
    """Return by how much the better completion of every strictly ordered pair is ahead, float64 ``[N]``."""
    return torch.tensor([margin for row in rows for margin in _margins(row)], dtype=torch.float64)


def _margins(row: Judged) -> Iterator[float]:
    known = [(worth, found) for worth, found in zip(row.worth, row.found, strict=True) if worth is not None]
    for worth, found in known:
        yield from (found - other for less, other in known if worth > less)


def pairwise_accuracy(ahead: Tensor) -> float:
    """Return the share of pairs ``[N]`` in the right order; a tie is half right."""
    return float(((ahead > 0).double() + 0.5 * (ahead == 0).double()).mean())


def log_loss(ahead: Tensor) -> float:
    """Return the mean of ``-log sigmoid(margin)`` over pairs ``[N]``, in nats: Bradley and Terry's model."""
    return float(-torch.nn.functional.logsigmoid(ahead).mean())


def binary_labels(rows: Sequence[Judged]) -> tuple[Tensor, Tensor] | None:
    """Return found values float64 ``[N]`` and truth bool ``[N]``; None unless the labels take exactly two values."""
    pairs = [
        (label, found)
        for row in rows
        for label, found in zip(row.labels or (), row.found if row.labels else (), strict=True)
        if label is not None
    ]
    classes = sorted({label for label, _ in pairs})
    if len(classes) != 2:
        return None
    values = torch.tensor([found for _, found in pairs], dtype=torch.float64)
    return values, torch.tensor([label == classes[1] for label, _ in pairs])


def auc(values: Tensor, truth: Tensor) -> float:
    """Return the probability that a true one ``[N]`` has the larger value, ties counted half (Mann and Whitney)."""
    order = values.sort().values
    below = torch.searchsorted(order, values, right=False)
    upto = torch.searchsorted(order, values, right=True)
    ranks = (below + upto + 1).double() / 2  # mid-ranks, counted from 1
    positive, count = int(truth.sum()), len(truth)
    least = positive * (positive + 1) / 2
    return float((ranks[truth].sum() - least) / (positive * (count - positive)))


def calibration_error(probability: Tensor, truth: Tensor, bins: int = 10) -> float:
    """Return the expected calibration error of probabilities ``[N]`` over bins that hold equally many of them."""
    order = probability.argsort(stable=True)
    parts = zip(probability[order].tensor_split(bins), truth[order].double().tensor_split(bins), strict=True)
    gaps = [float((told.mean() - right.mean()).abs()) * len(told) for told, right in parts if len(told)]
    return sum(gaps) / len(truth)


def scores(rows: Sequence[Judged]) -> dict[str, float]:
    """Return all scores that these rows allow, each in 0..1.

    Where rows hold ordered pairs, ``pairwise_accuracy``, and ``pairwise_calibration_error`` of the sigmoid of a margin
    as the probability that its favourite is the better one. Where labels take two values, ``auc``, and
    ``calibration_error`` of the sigmoid of a value as the probability of the higher label.
    """
    found: dict[str, float] = {}
    ahead = margins(rows)
    if len(ahead):
        found["pairwise_accuracy"] = pairwise_accuracy(ahead)
        told = ahead[ahead != 0]  # a tie favours nobody
        if len(told):
            found["pairwise_calibration_error"] = calibration_error(torch.sigmoid(told.abs()), told > 0)
    labelled = binary_labels(rows)
    if labelled is not None:
        found["auc"] = auc(*labelled)
        found["calibration_error"] = calibration_error(torch.sigmoid(labelled[0]), labelled[1])
    return found
