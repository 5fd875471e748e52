"""What processes tell one another, and how they end together."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.together import together
from tgframe import DataError
from tgframe.runtime.processes import ALONE, SHORT, Ended, Processes
from tgframe.runtime.tree import pack, unpack


def test_states_become_bytes_and_states_again() -> None:
    state = {"a": [1, 2.5, math.inf, None, "ä"], ("b", 1): (True, {"c": torch.arange(6).reshape(2, 3)})}
    found = unpack(pack(state))
    assert torch.equal(found[("b", 1)][1].pop("c"), torch.arange(6).reshape(2, 3))
    assert found == {"a": [1, 2.5, math.inf, None, "ä"], ("b", 1): (True, {})}
    assert unpack(pack(None)) is None


def test_alone_everything_comes_back_as_it_was_given() -> None:
    value = object()
    assert ALONE.gather(value)[0] is value
    assert ALONE.to_main(value)[0] is value
    assert ALONE.from_main(lambda: value) is value
    weight = nn.Parameter(torch.ones(2))
    ALONE.sum_gradients([weight])
    assert weight.grad is None
    with pytest.raises(DataError, match="own"), ALONE.agreed():
        raise DataError("own")


def test_a_process_is_alone_unless_a_launcher_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Processes.join() == ALONE
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert Processes.join() == ALONE


def talk() -> Any:
    processes = Processes.join()
    rank = processes.rank
    gathered = processes.gather({"rank": rank, "rows": torch.full((rank + 1,), rank)})
    processes.finish()
    return {
        "ranks": [one["rank"] for one in gathered],
        "rows": [one["rows"].tolist() for one in gathered],
        "to_main": processes.to_main("x" * rank),
        "long": [len(one) for one in processes.gather("x" * (2 * SHORT * rank))],
        "long to_main": [len(one) for one in processes.to_main("x" * (2 * SHORT * rank))],
        "sum": processes.sum(rank + 1),
        "any": [processes.any(rank == 1), processes.any(False)],
        "from_main": processes.from_main(lambda: f"by {rank}"),
        "is_main": processes.is_main,
    }


def test_processes_tell_one_another() -> None:
    for rank, found in enumerate(together(3, talk)):
        assert found == {
            "ranks": [0, 1, 2],
            "rows": [[0], [1, 1], [2, 2, 2]],
            "to_main": ["", "x", "xx"] if rank == 0 else [],
            "long": [0, 2 * SHORT, 4 * SHORT],
            "long to_main": [0, 2 * SHORT, 4 * SHORT] if rank == 0 else [],
            "sum": 6,
            "any": [True, False],
            "from_main": "by 0",
            "is_main": rank == 0,
        }


def add_up() -> Any:
    processes = Processes.join()
    both, one, none = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    half = nn.Parameter(torch.zeros(2, 2, dtype=torch.bfloat16))
    both.grad = torch.tensor([1.0, 2.0]) * (processes.rank + 1)
    if processes.rank:
        one.grad = torch.tensor([5.0, 0.0])
    half.grad = torch.ones(2, 2, dtype=torch.bfloat16)
    processes.sum_gradients([both, one, none, half])
    assert none.grad is None
    assert half.grad.dtype == torch.bfloat16
    weights = [
        torch.full((2, 3), float(processes.rank)).T,
        torch.tensor(processes.rank == 0),
        torch.tensor(3.0),
        torch.empty(0),
    ]
    processes.align(weights)
    return [both.grad.tolist(), one.grad.tolist(), half.grad.tolist(), [weight.tolist() for weight in weights]]


def test_gradients_are_added_up_and_weights_made_the_same() -> None:
    for found in together(2, add_up):
        assert found == [[3.0, 6.0], [5.0, 0.0], [[2.0, 2.0], [2.0, 2.0]], [[[0.0, 0.0]] * 3, True, 3.0, []]]


def fail_together(failing: list[int]) -> Any:
    processes = Processes.join()
    try:
        with processes.agreed():
            if processes.rank in failing:
                raise DataError(f"process {processes.rank} has no data.")
    except Ended as ended:
        return f"ended with {ended.status}"
    except DataError as error:
        return str(error)
    return "went on"


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ([], ["went on"] * 2),
        ([0], ["process 0 has no data.", "ended with 1"]),
        ([1], ["ended with 1", "process 1 has no data."]),
        ([0, 1], ["process 0 has no data.", "ended with 1"]),
    ],
)
def test_one_process_tells_why_all_end(failing: list[int], told: list[str]) -> None:
    assert together(2, fail_together, failing) == told


def leave() -> Any:
    processes = Processes.join()
    processes.gather(None)
    if processes.rank:
        raise DataError("process 1 is gone.")
    processes.gather(None)


def test_who_is_left_alone_says_so_at_once() -> None:
    left, gone = together(2, leave)
    assert gone.startswith("DataError: process 1 is gone.")
    assert left.startswith("TgframeError: Another process of this run has ended")
