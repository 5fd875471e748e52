"""The statistics of swaps against closed forms, enumerations and simulations with known truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from tgframe.swap.statistics import (
    RESAMPLES,
    bootstrap_interval,
    effect_size,
    holm,
    paired,
    sign_flip,
    t_interval,
)


def draws(seed: int, *shape: int, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, shape)


def enumerated(differences: np.ndarray) -> float:
    """The two-sided p of the sign-flip test, flip by flip."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    sums = np.abs(signs @ differences)
    return float((sums >= abs(differences.sum()) - 1e-9).mean())


def test_the_t_interval_is_the_textbook_s() -> None:
    # 1, 2, 3, 4: mean 2.5, standard error sqrt(5/3)/2, and the 97.5 % quantile of t with 3 degrees of freedom.
    half = 3.182446305284263 * (5 / 3) ** 0.5 / 2
    assert t_interval([1, 2, 3, 4]) == pytest.approx((2.5 - half, 2.5 + half))
    assert t_interval([0.7, 0.7, 0.7]) == pytest.approx((0.7, 0.7))
    assert t_interval([0.7]) is None
    assert t_interval([]) is None


@pytest.mark.parametrize("n", [2, 5, 8, 12])
def test_differences_of_one_sign_reach_the_smallest_p(n: int) -> None:
    p, smallest = sign_flip(np.abs(draws(0, n)))
    assert p == pytest.approx(2 / 2**n)
    assert smallest == pytest.approx(2 / 2**n)


def test_eight_seeds_of_one_sign_give_two_in_256() -> None:
    found = paired([0.7 + 0.01 * seed for seed in range(8)], [0.6 - 0.02 * seed for seed in range(8)])
    assert found.p == pytest.approx(2 / 256)


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_flip_test_is_exact(seed: int) -> None:
    differences = draws(seed, 9, mean=0.5)
    assert sign_flip(differences)[0] == pytest.approx(enumerated(differences))


def test_ties_do_not_hang_on_rounding() -> None:
    # By hand: of the eight sums of ±1 ±2 ±1 six are at least 2 in size; and 0.1 + 0.2 - 0.3 is not 0 in floats.
    assert sign_flip(np.array([1.0, 2.0, -1.0]))[0] == pytest.approx(6 / 8)
    assert sign_flip(np.array([0.1, 0.2, -0.3]))[0] == 1.0
    accuracies = np.array([0.1, 0.1, -0.1, 0.3, 0.2, -0.2]) * 3
    assert sign_flip(accuracies)[0] == pytest.approx(enumerated(accuracies))


def test_beyond_what_is_enumerated_the_test_is_close_and_repeats() -> None:
    differences = draws(3, 14, mean=0.6)
    p, smallest = sign_flip(differences)
    exact = enumerated(differences)
    assert abs(p - exact) < 4 * (exact / RESAMPLES) ** 0.5 + 2 / RESAMPLES
    assert sign_flip(differences) == (p, smallest)
    assert smallest == pytest.approx(2 / (RESAMPLES + 1))
    assert sign_flip(np.ones(20))[0] == pytest.approx(smallest)


def test_a_planted_effect_is_found() -> None:
    noise = draws(1, 2, 8) * 0.01
    found = paired(0.75 + noise[0], 0.70 + noise[1])
    assert found.difference == pytest.approx(0.05, abs=0.01)
    assert found.p == pytest.approx(2 / 256)
    for interval in (found.t_interval, found.bootstrap_interval):
        assert interval is not None
        assert interval[0] > 0
        assert interval[0] < found.difference < interval[1]
    assert found.effect_size is not None
    assert found.effect_size > 1


def test_without_an_effect_the_test_rejects_as_often_as_it_says() -> None:
    # With 8 seeds p comes in steps of 2/256; p <= 0.05 has a chance of 12/256.
    rejected = sum(sign_flip(differences)[0] <= 0.05 for differences in draws(11, 400, 8))
    low, high = stats.binom.ppf([0.001, 0.999], 400, 12 / 256)
    assert low <= rejected <= high


def test_the_bootstrap_interval_covers_the_truth() -> None:
    covered = 0
    for differences in draws(5, 200, 16, mean=0.3):
        low, high = bootstrap_interval(differences)
        covered += low <= 0.3 <= high
    # The percentile interval of 16 values is a little too narrow: the normal one has 1.96 where t has 2.13.
    assert stats.binom.ppf(0.001, 200, 0.90) <= covered <= stats.binom.ppf(0.999, 200, 0.95)


def test_of_two_seeds_the_bootstrap_draws_either_or_both() -> None:
    assert bootstrap_interval(np.array([0.0, 1.0])) == (0.0, 1.0)
    assert bootstrap_interval(np.array([0.5, 0.5])) == (0.5, 0.5)


def test_the_two_level_bootstrap_knows_that_items_are_few() -> None:
    # Seeds that agree exactly: everything that is left is the chance of the items, of variance 1 / (seeds x items).
    items = [np.tile([-1.0, 1.0], 50)] * 4
    low, high = bootstrap_interval(np.zeros(4), items)
    assert high - low == pytest.approx(2 * 1.96 / (4 * 100) ** 0.5, rel=0.06)
    assert bootstrap_interval(np.zeros(4)) == (0.0, 0.0)
    assert bootstrap_interval(np.zeros(4), items) == (low, high)


def test_the_two_level_bootstrap_covers_both_kinds_of_chance() -> None:
    generator = np.random.default_rng(8)
    covered = 0
    for _ in range(60):
        items = [generator.normal(generator.normal(0.2, 0.1), 1.0, 50) for _ in range(10)]
        low, high = bootstrap_interval(np.array([values.mean() for values in items]), items)
        covered += low <= 0.2 <= high
    assert covered >= stats.binom.ppf(0.001, 60, 0.95)


def test_many_items_are_drawn_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [draws(seed, 30) for seed in range(3)]
    means = np.array([values.mean() for values in items])
    whole = bootstrap_interval(means, items)
    monkeypatch.setattr("tgframe.swap.statistics._CHUNK", 1000)
    assert bootstrap_interval(means, items) == pytest.approx(whole, abs=0.03)


def test_the_effect_size_is_the_mean_in_standard_deviations() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert effect_size(np.array([0.2, 0.7 - 0.5, 0.2])) is None


def test_holm_is_the_textbook_s() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([None, 0.02, None, 0.01]) == [None, pytest.approx(0.02), None, pytest.approx(0.02)]
    assert holm([]) == []
    assert holm([None]) == [None]


def test_equal_scores_are_identical_and_not_tested() -> None:
    found = paired([0.1 + 0.2, 0.5], [0.3, 0.5])
    assert found.identical
    assert (found.n, found.difference) == (2, 0.0)
    assert found.p is found.t_interval is found.bootstrap_interval is found.effect_size is None


def test_one_seed_is_not_tested() -> None:
    found = paired([0.8], [0.7])
    assert found.difference == pytest.approx(0.1)
    assert found.notes == ("one seed: no test",)
    assert found.p is found.smallest_p is found.t_interval is found.bootstrap_interval is None


def test_no_seed_says_nothing() -> None:
    found = paired([], [])
    assert (found.n, found.difference, found.identical) == (0, None, False)


def test_a_constant_difference_has_no_effect_size_and_says_so() -> None:
    found = paired([0.7, 0.8, 0.9], [0.6, 0.7, 0.8])
    assert found.effect_size is None
    assert found.notes[0].startswith("constant")
    assert found.p == pytest.approx(2 / 8)
    assert found.t_interval == pytest.approx((0.1, 0.1))
