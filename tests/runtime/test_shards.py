"""Divided weights: each process keeps its piece, and all of them compute what they would with whole ones."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.together import together
from tgframe.runtime import processes as module
from tgframe.runtime.processes import Processes
from tgframe.runtime.shards import Shards


def weights() -> list[nn.Parameter]:
    """Shapes that can be divided evenly and such that cannot, of two types, one frozen, one not used, a number."""
    generator = torch.Generator().manual_seed(0)
    made = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(4, 5), (3, 3), (1,), (), (2, 0), (7,)]]
    half = nn.Parameter(torch.randn(3, 2, generator=generator).bfloat16())
    frozen = nn.Parameter(torch.randn(5, generator=generator), requires_grad=False)
    return [*made, half, frozen]


def loss_of(found: list[nn.Parameter], rank: int) -> torch.Tensor:
    """A loss that differs between processes; the last but two has no gradient anywhere, the second in one alone."""
    used = [*found[:5], found[6]] if rank else [found[0], *found[2:5], found[6]]
    return sum(((rank + 1) * (weight.float() ** 2).sum() for weight in used), torch.zeros(()))


def divided(found: list[nn.Parameter]) -> Shards:
    shards = Shards(Processes.join())
    shards.divide({"first": found[:4], "second": found[3:]})
    return shards


def trained(divide: bool, clip: float, message: int) -> Any:
    """Three steps of AdamW, with weight decay; what comes of them, and what the optimizer remembers."""
    module.MESSAGE = message
    processes, found = Processes.join(), weights()
    shards = divided(found) if divide else Shards(processes)
    learning = shards.learning(found)
    optimizer = torch.optim.AdamW(learning, lr=0.1, weight_decay=0.1)
    norms = []
    for _ in range(3):
        for weight in (*found, *learning):
            weight.grad = None
        with shards.whole("first", "second"):
            loss_of(found, processes.rank).backward()
        shards.sum_gradients(found)
        norms.append(shards.clip(found, clip))
        optimizer.step()
    state = shards.whole_state(optimizer.state_dict(), found)
    with shards.whole("first", "second"):
        whole = [weight.detach().float().tolist() for weight in found]
    return {"weights": whole, "norms": norms, "state": plain(state["state"]) if processes.is_main else None}


def plain(state: Any) -> Any:
    return {key: {name: value.float().tolist() for name, value in values.items()} for key, values in state.items()}


@pytest.mark.parametrize(("clip", "message"), [(math.inf, 2**24), (1.0, 4)])
@pytest.mark.parametrize("count", [2, 3])
def test_divided_weights_learn_what_whole_ones_do(count: int, clip: float, message: int) -> None:
    whole = together(count, trained, False, clip, message)
    found = together(count, trained, True, clip, message)
    assert isinstance(whole[0], dict), whole[0]
    assert isinstance(found[0], dict), found[0]
    assert 5 not in found[0]["state"], "no gradient anywhere: no step"
    assert set(found[0]["state"]) == {0, 1, 2, 3, 4, 6}
    for one in found:
        assert one["weights"] == found[0]["weights"]
        assert one["norms"] == found[0]["norms"]
    # torch rounds the norm of bfloat16 gradients, of the whole otherwise than of pieces.
    near = {"rtol": 1e-5, "atol": 1e-6} if clip == math.inf else {"rtol": 2e-3, "atol": 2e-4}
    assert found[0]["norms"] == pytest.approx(whole[0]["norms"], rel=1e-3)
    for mine, expected in zip(found[0]["weights"], whole[0]["weights"], strict=True):
        torch.testing.assert_close(torch.tensor(mine), torch.tensor(expected), **near)
    for index, values in whole[0]["state"].items():
        for name, expected in values.items():
            mine = torch.tensor(found[0]["state"][index][name])
            torch.testing.assert_close(mine, torch.tensor(expected), **near)


def held() -> Any:
    """What is there outside of blocks, inside, and inside of two."""
    found = weights()
    before = [weight.detach().clone() for weight in found]
    shards = divided(found)
    outside = [bool(weight.isnan().all()) for weight in found]
    shapes = [weight.shape for weight in found] == [weight.shape for weight in before]
    numbers = sum(weight.untyped_storage().nbytes() for weight in found)
    pieces = [len(piece.own) for piece in shards._pieces.values()]
    with shards.whole("first"):
        first = [torch.equal(weight, known) for weight, known in zip(found, before, strict=True)]
        with shards.whole("first", "second"):
            both = [torch.equal(weight, known) for weight, known in zip(found, before, strict=True)]
        after = [torch.equal(weight, known) for weight, known in zip(found, before, strict=True)]
    frozen = [piece.own.requires_grad for piece in shards._pieces.values()]
    return [outside, shapes, numbers, pieces, first, both, after, frozen, bool(found[0].isnan().all())]


def test_weights_are_there_inside_a_block_alone() -> None:
    for outside, shapes, numbers, pieces, first, both, after, frozen, closed in together(2, held):
        assert outside == [True] * 8
        assert shapes
        assert numbers < 64, "a weight that is not whole takes a number's memory"
        assert pieces == [10, 5, 1, 1, 0, 4, 3, 3]
        assert first == after == [True, True, True, True, True, False, False, False], "an empty weight is as it was"
        assert both == [True] * 8
        assert frozen == [True] * 7 + [False]
        assert closed


def changed(fails: bool) -> Any:
    found = weights()
    shards = divided(found)
    try:
        with shards.whole("first", changed=True), torch.no_grad():
            found[0].fill_(2.0)
            found[1].copy_(torch.arange(9.0).reshape(3, 3))
            if fails:
                raise ValueError
    except ValueError:
        pass
    with shards.whole("second"), torch.no_grad():
        found[5].zero_()  # nobody was told
    with shards.whole("first", "second"):
        return [found[0].tolist(), found[1].flatten().tolist(), bool((found[5] == 0).any())]


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_changed_stays_changed(fails: bool) -> None:
    for found in together(2, changed, fails):
        assert found == [[[2.0] * 5] * 4, [float(number) for number in range(9)], False]


def reloaded() -> Any:
    found = weights()
    shards = divided(found)
    learning = shards.learning(found)

    def step(optimizer: torch.optim.Optimizer) -> None:
        for weight in (*found, *learning):
            weight.grad = None
        with shards.whole("first", "second"):
            loss_of(found, Processes.join().rank).backward()
        shards.sum_gradients(found)
        optimizer.step()

    first = torch.optim.Adam(learning, lr=0.1)
    step(first)
    whole, *others = Processes.join().gather(shards.whole_state(first.state_dict(), found))
    assert all(other["state"][0]["exp_avg"] is None for other in others), "the main process alone needs it"
    second = torch.optim.Adam(learning, lr=0.1)
    second.load_state_dict(shards.own_state(whole, found))
    assert len(first.state) == len(second.state) == 6
    return all(
        torch.equal(value, second.state[weight][name])
        for weight, values in first.state.items()
        for name, value in values.items()
    )


def test_an_optimizer_takes_up_its_piece_of_a_whole_state() -> None:
    assert together(3, reloaded) == [True] * 3


def test_one_process_divides_nothing() -> None:
    found = weights()
    shards = Shards()
    assert all(one is other for one, other in zip(shards.learning(found), found, strict=True))
    with shards.whole("first"):
        assert not found[0].isnan().any()
    state = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []}
    assert shards.whole_state(state, found) == state == shards.own_state(state, found)
