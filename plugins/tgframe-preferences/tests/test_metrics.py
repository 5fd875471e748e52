"""Scores against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tgframe_preferences import metrics
from tgframe_preferences.metrics import Judged


def test_margins_of_all_ordered_pairs() -> None:
    rows = [Judged((3.0, 1.0, 1.0, None), (0.5, 0.25, 2.0, 9.0)), Judged((0.0, 1.0), (4.0, 1.0))]
    assert metrics.margins(rows).tolist() == [0.25, -1.5, -3.0]


def test_pairwise_accuracy_counts_ties_half() -> None:
    assert metrics.pairwise_accuracy(torch.tensor([1.0, -1.0, 0.0, 2.0])) == 0.625


def test_log_loss_of_nothing_known() -> None:
    assert metrics.log_loss(torch.zeros(3, dtype=torch.float64)) == pytest.approx(math.log(2))
    assert metrics.log_loss(torch.tensor([math.log(3)])) == pytest.approx(math.log(4 / 3))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_is_the_share_of_ordered_pairs(drawn: list[tuple[int, bool]]) -> None:
    values = torch.tensor([float(value) for value, _ in drawn])
    truth = torch.tensor([label for _, label in drawn])
    if truth.all() or not truth.any():
        return
    good, bad = values[truth], values[~truth]
    ahead = good[:, None] - bad[None, :]
    assert metrics.auc(values, truth) == pytest.approx(metrics.pairwise_accuracy(ahead.flatten()))


def test_calibration_error() -> None:
    truth = torch.tensor([True] * 3 + [False] * 1)
    assert metrics.calibration_error(torch.full((4,), 0.75), truth, bins=1) == pytest.approx(0.0)
    assert metrics.calibration_error(torch.full((4,), 0.5), truth, bins=1) == pytest.approx(0.25)
    probability = torch.tensor([0.1, 0.1, 0.9, 0.9])
    assert metrics.calibration_error(probability, torch.tensor([False, True, True, True]), bins=2) == pytest.approx(
        0.25
    )


def test_scores_that_rows_allow() -> None:
    pairs = [Judged((0.0, -1.0), (2.0, 1.0), (1.0, 0.0)), Judged((0.0, -1.0), (3.0, 4.0), (1.0, 0.0))]
    found = metrics.scores(pairs)
    assert found["pairwise_accuracy"] == 0.5
    assert found["auc"] == 0.5
    assert set(found) == {"pairwise_accuracy", "pairwise_calibration_error", "auc", "calibration_error"}
    assert set(metrics.scores([Judged((1.0, 0.0), (0.0, 1.0))])) == {"pairwise_accuracy", "pairwise_calibration_error"}
    singles = [Judged((1.0,), (2.0,), (1.0,)), Judged((0.0,), (1.0,), (0.0,)), Judged((None,), (9.0,), (None,))]
    assert set(metrics.scores(singles)) == {"auc", "calibration_error"}
    assert metrics.scores(singles)["auc"] == 1.0
    assert (
        metrics.scores([Judged((0.1,), (1.0,), (0.1,)), Judged((0.2,), (1.0,), (0.2,)), Judged((0.3,), (1.0,), (0.3,))])
        == {}
    )


def test_equal_values_favour_nobody() -> None:
    assert metrics.scores([Judged((1.0, 0.0), (0.0, 0.0))]) == {"pairwise_accuracy": 0.5}
