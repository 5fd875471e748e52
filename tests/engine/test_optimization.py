"""What counts as better, and one update."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from tgframe.engine.optimization import Best, Updater
from tgframe.interfaces.schedule import Optimizer, Plateau
from tgframe.runtime.machine import Machine


@pytest.fixture
def machine() -> Machine:
    return Machine.create(0, "cpu", "fp32")


def test_below_zero_a_worse_value_is_not_better() -> None:
    best = Best("max")
    assert best.update(-100.0)
    assert not best.update(-100.005)  # better than -100 * (1 + 1e-4), which is what a relative threshold compares with
    assert best.update(-99.999)
    assert best.since == 0


def test_nan_is_never_better_and_counts_as_no_improvement() -> None:
    best = Best("min")
    assert not best.update(math.nan)
    assert best.update(3.0)
    assert not best.update(math.nan)
    assert best.exhausted(1)
    assert not best.exhausted(None)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_best_round_trips(mode: Any) -> None:
    best = Best(mode)
    best.update(1.0)
    best.update(1.0)
    other = Best(mode)
    other.load_state_dict(best.state_dict())
    assert (other.value, other.since) == (1.0, 1)


def test_update_clips_and_tells_the_norm_before_clipping(machine: Machine) -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    updater = Updater([weight], Optimizer(lr=0.1, clip=1.0), machine, "max")
    norm = updater.update((weight**2).sum())
    assert norm == pytest.approx(10.0)
    assert weight.grad is not None
    assert float(weight.grad.norm()) == pytest.approx(1.0, rel=1e-4)


def test_without_clip_gradients_stay(machine: Machine) -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    updater = Updater([weight], Optimizer(clip=None), machine, "max")
    assert updater.update((weight**2).sum()) == pytest.approx(10.0)
    assert weight.grad is not None
    assert float(weight.grad.norm()) == pytest.approx(10.0)


def test_plateau_lowers_the_rate_below_zero_too(machine: Machine) -> None:
    options = Optimizer(lr=1.0, plateau=Plateau(factor=0.5, patience=1, min_lr=0.2))
    updater = Updater([nn.Parameter(torch.zeros(1))], options, machine, "max")
    rates = []
    for value in (-100.0, -100.005, -100.004, -100.003, -100.002, -100.001, -100.001):
        updater.validated(value)
        rates.append(updater.lr)
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.2]


def test_updater_state_round_trips(machine: Machine) -> None:
    def make() -> tuple[nn.Parameter, Updater]:
        weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        return weight, Updater([weight], Optimizer(lr=0.1, plateau=Plateau(patience=0)), machine, "max")

    one, first = make()
    for value in (1.0, 0.5):
        first.update((one**2).sum())
        first.validated(value)
    two, second = make()
    two.data.copy_(one.data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.lr == first.lr
    first.update((one**2).sum())
    second.update((two**2).sum())
    assert torch.equal(one, two)
