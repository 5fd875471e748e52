from __future__ import annotations

import math

import pytest
import torch

from tgframe_prompts.gap import Gap, gaps


def _logits(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor([[[math.log(p) for p in row] for row in rows]])


def test_gap_is_right_minus_the_largest_other() -> None:
    found = gaps(_logits((0.7, 0.2, 0.1), (0.5, 0.1, 0.4), (0.3, 0.3, 0.4)), torch.tensor([0, 2, 1]))
    torch.testing.assert_close(found, torch.tensor([[0.5, -0.1, -0.1]]))


def test_another_class_of_equal_probability_stays_in() -> None:
    found = gaps(_logits((0.4, 0.4, 0.2)), torch.tensor([0]))
    torch.testing.assert_close(found, torch.tensor([[0.0]]))


def test_score_weights_right_and_wrong() -> None:
    logits = _logits((0.8, 0.2), (0.9, 0.1))
    score = Gap(180.0, 200.0).scores(logits, torch.tensor([0, 1]))
    assert score.item() == pytest.approx((200 * 0.6 - 180 * 0.8) / 2, abs=1e-4)


def test_score_lies_between_its_bounds() -> None:
    sure = torch.tensor([[[50.0, 0.0], [50.0, 0.0]]])
    assert Gap().scores(sure, torch.tensor([0, 0])).item() == pytest.approx(200.0)
    assert Gap().scores(sure, torch.tensor([1, 1])).item() == pytest.approx(-180.0)


def test_texts_without_logits_are_left_out() -> None:
    logits = torch.cat([_logits((0.8, 0.2)), torch.full((1, 1, 2), float("nan"))], 1)
    assert Gap().scores(logits, torch.tensor([0, 0])).item() == pytest.approx(120.0, abs=1e-3)
