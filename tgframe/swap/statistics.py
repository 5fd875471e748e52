"""Means over seeds with intervals, and differences paired by seed with tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95
RESAMPLES = 10_000
_SEED = 0
_CHUNK = 4_000_000
"""Drawn items that are in memory at once."""
_EQUAL = 1e-12
"""Relative difference up to which two scores are one: what is left of summing in another order."""

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@attrs.frozen
class Paired:
    """What ``n`` differences say, each between two runs of one seed."""

    n: int
    difference: float | None = None
    """Their mean."""
    t_interval: Interval | None = None
    bootstrap_interval: Interval | None = None
    p: float | None = None
    """Two-sided, of the sign-flip test."""
    smallest_p: float | None = None
    """The smallest p that so many seeds can give."""
    effect_size: float | None = None
    """Cohen's d_z: the mean over the standard deviation of the differences."""
    identical: bool = False
    notes: tuple[str, ...] = ()


def paired(
    scores: Sequence[float], against: Sequence[float], items: Sequence[Floats] | None = None, bootstrap: bool = True
) -> Paired:
    """Compare scores with others of the same seeds, in the same order.

    ``items`` holds, for each seed, the differences item by item; where they are known, the bootstrap draws items too.
    """
    differences = _subtract(scores, against)
    if not len(differences):
        return Paired(0)
    mean, n = float(differences.mean()), len(differences)
    if not differences.any():
        return Paired(n, mean, identical=True)
    if n == 1:
        return Paired(n, mean, notes=("one seed: no test",))
    p, smallest = sign_flip(differences)
    size = effect_size(differences)
    notes = () if size is not None else ("constant: the difference is the same with every seed",)
    resampled = bootstrap_interval(differences, items) if bootstrap else None
    return Paired(n, mean, t_interval(differences), resampled, p, smallest, size, notes=notes)


def t_interval(values: Sequence[float] | Floats) -> Interval | None:
    """Return the t-interval of the mean at :data:`LEVEL`; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(stats.sem(values))
    low, high = stats.t.interval(LEVEL, len(values) - 1, loc=mean, scale=error) if error else (mean, mean)
    return float(low), float(high)


def sign_flip(differences: Floats) -> tuple[float, float]:
    """Return the two-sided p of the sign-flip permutation test of the mean, and the smallest that is attainable.

    Exact up to 13 differences; beyond, :data:`RESAMPLES` random flips, the same at every call.
    """
    # On one scale and rounded, sums that are equal but for the order of their terms count as ties.
    scaled = differences / np.abs(differences).max()
    found = stats.permutation_test(
        (scaled,),
        lambda sample, axis: np.round(np.mean(sample, axis=axis), 10),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(_SEED),
    )
    flips = 2 ** len(differences)
    return float(found.pvalue), 2 / (flips if flips <= RESAMPLES else RESAMPLES + 1)


def bootstrap_interval(differences: Floats, items: Sequence[Floats] | None = None) -> Interval:
    """Return the percentile interval of the mean difference over :data:`RESAMPLES` resamples, the same at every call.

    Seeds are drawn with replacement and, where ``items`` are given, test items within each drawn seed.
    """
    generator = np.random.default_rng(_SEED)
    drawn = generator.integers(len(differences), size=(RESAMPLES, len(differences)))
    means = differences[drawn]
    for seed, of_seed in enumerate(items or ()):
        at = drawn == seed
        means[at] = _item_means(of_seed, int(at.sum()), generator)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means.mean(1), [tail, 1 - tail])
    return float(low), float(high)


def effect_size(differences: Floats) -> float | None:
    """Return Cohen's d_z; None where all differences are equal."""
    if np.ptp(differences) <= _EQUAL * np.abs(differences).max():
        return None
    return float(differences.mean() / differences.std(ddof=1))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return the p-values of one family corrected by Holm, which bounds the chance of any false rejection.

    None, where nothing was tested, stays None and does not count.
    """
    order = sorted((index for index, p in enumerate(ps) if p is not None), key=lambda index: ps[index] or 0.0)
    corrected: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * (ps[index] or 0.0)))
        corrected[index] = highest
    return corrected


def _subtract(scores: Sequence[float], against: Sequence[float]) -> Floats:
    one, other = np.asarray(scores, dtype=np.float64), np.asarray(against, dtype=np.float64)
    equal = np.isclose(one, other, rtol=_EQUAL, atol=0.0)
    return np.where(equal, 0.0, one - other)


def _item_means(values: Floats, count: int, generator: np.random.Generator) -> Floats:
    """Return the means of ``count`` resamples of ``values``."""
    size = len(values)
    rows = max(1, _CHUNK // size)
    parts: list[Any] = []
    for start in range(0, count, rows):
        drawn = generator.integers(size, size=(min(rows, count - start), size), dtype=np.int32)
        parts.append(values[drawn].mean(1))
    return np.concatenate(parts) if parts else np.empty(0)
