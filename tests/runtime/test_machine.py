"""Device, precision, generators."""

from __future__ import annotations

import random
from pathlib import Path

import numpy
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from tgframe.errors import DeviceError
from tgframe.runtime import device as devices
from tgframe.runtime.checkpoint import read_checkpoint, write_checkpoint
from tgframe.runtime.device import find_precision
from tgframe.runtime.machine import Machine
from tgframe.runtime.processes import Processes
from tgframe.runtime.seeding import seed_globals


def make(seed: int = 0, precision: str = "fp32") -> Machine:
    return Machine.create(seed, "cpu", precision)


def test_a_device_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(DeviceError, match=r"is 'cuda:97' instead\. This machine has 'cpu'"):
        Machine.create(0, "cuda:97")
    with pytest.raises(DeviceError, match="is 'toaster' instead"):
        Machine.create(0, "toaster")


def test_a_precision_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match=r"`runtime\.precision` must be one of 'auto', 'fp32', 'bf16', but is 'fp8'"):
        Machine.create(0, "cpu", "fp8")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    old_gpu = torch.device("cuda", 0)
    assert find_precision("auto", old_gpu) == torch.float32
    with pytest.raises(DeviceError, match="must be 'fp32' on 'cuda:0', which has no bf16"):
        find_precision("bf16", old_gpu)


def test_auto_takes_a_gpu_and_bf16_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert [devices.find_device(name) for name in ("auto", "cuda", "cuda:1")] == [
        torch.device("cuda", 0),
        torch.device("cuda", 0),
        torch.device("cuda", 1),
    ]
    assert find_precision("auto", torch.device("cuda", 0)) == torch.bfloat16
    assert find_precision("auto", torch.device("cpu")) == torch.float32


def test_two_runs_in_one_process_may_differ() -> None:
    one, two = make(precision="fp32"), make(precision="bf16")
    ones = torch.ones(2, 2)
    for machine, dtype in ((one, torch.float32), (two, torch.bfloat16), (one, torch.float32)):
        with machine.autocast():
            assert (ones @ ones).dtype == dtype
        weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        machine.backward((weight * weight).sum() / 2)
        assert machine.shards.clip([weight], 1.0) == pytest.approx(5.0)
        torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))


def test_a_run_does_not_mind_who_used_accelerate_before() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    Accelerator(cpu=True, mixed_precision="bf16")
    machine = make()
    with machine.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_clipping_leaves_small_gradients_and_tells_what_is_not_finite() -> None:
    machine, weight = make(), nn.Parameter(torch.tensor([0.3, 0.4]))
    machine.backward((weight * weight).sum() / 2)
    assert machine.shards.clip([weight], float("inf")) == pytest.approx(0.5)
    torch.testing.assert_close(weight.grad, torch.tensor([0.3, 0.4]))
    weight.grad = torch.tensor([float("nan"), 0.0])
    assert machine.shards.clip([weight], 1.0) != machine.shards.clip([weight], 1.0), "NaN must come through"


def test_generators_are_one_object_a_name_and_one_stream_a_name() -> None:
    machine = make()
    assert machine.generator("data") is machine.generator("data")
    draws = {name: torch.rand(3, generator=machine.generator(name)).tolist() for name in ("data", "model", "sampler")}
    assert len({tuple(draw) for draw in draws.values()}) == 3
    other = make()
    torch.rand(7, generator=other.generator("model"))
    assert torch.rand(3, generator=other.generator("data")).tolist() == draws["data"], "streams are independent"
    assert torch.rand(3, generator=make(1).generator("data")).tolist() != draws["data"]


def test_the_process_is_seeded_too() -> None:
    def draws(seed: int) -> tuple[float, float, float]:
        make(seed)
        return random.random(), float(numpy.random.rand()), float(torch.rand(()))

    assert draws(5) == draws(5)
    assert all(a != b for a, b in zip(draws(5), draws(6), strict=True))


def test_generator_states_go_through_a_checkpoint(tmp_path: Path) -> None:
    machine = make()
    held = machine.generator("sampler")

    def draws() -> list[float]:
        return [
            float(torch.rand((), generator=held)),
            random.gauss(0, 1),
            float(numpy.random.randn()),
            float(torch.rand(())),
        ]

    draws()
    write_checkpoint(tmp_path / "c", {"generators": machine.generator_states()})
    expected = draws()
    assert draws() != expected
    machine.load_generator_states(read_checkpoint(tmp_path / "c")["generators"])
    assert draws() == expected
    fresh = make(1)
    fresh.load_generator_states(read_checkpoint(tmp_path / "c")["generators"])
    assert float(torch.rand((), generator=fresh.generator("sampler"))) == expected[0]


def test_equal_seeds_give_equal_training() -> None:
    def train() -> list[float]:
        machine = make(3)
        model = nn.Sequential(nn.Embedding(50, 16), nn.Dropout(0.1), nn.Linear(16, 50))
        optimizer = torch.optim.Adam(model.parameters())
        losses = []
        for _ in range(3):
            tokens = torch.randint(50, (64, 32), generator=machine.generator("data"))
            loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
            optimizer.zero_grad()
            machine.backward(loss)
            optimizer.step()
            losses.append(loss.item())
        return losses

    assert train() == train()


def test_memory_is_counted_in_bytes() -> None:
    machine = make()
    before = machine.peak_memory_bytes()
    assert 50e6 < before < 1e12
    block = torch.ones(before // 4 + 16_000_000)  # a process that has used more before would hide less
    assert machine.peak_memory_bytes() > before
    del block
    machine.synchronize()
    assert machine.is_main


def test_a_launcher_that_nobody_expects_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 4))
    with pytest.raises(DeviceError, match="must be 1 process, but was launched as 4 instead"):
        make()


def test_each_process_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Processes(rank=3, count=4, local_rank=1)
    assert devices.find_device("cpu", second) == torch.device("cpu")
    assert devices.find_device("auto", second) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda"):
        assert devices.find_device(name, second) == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match=r"'auto', 'cuda' or 'cpu' in a run of 4 processes.*but is 'cuda:1' instead"):
        devices.find_device("cuda:1", second)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match=r"process 1 of this machine finds 1\. Start fewer processes"):
        devices.find_device("auto", second)


def test_processes_build_alike_and_draw_for_themselves() -> None:
    def draws(rank: int) -> list[float]:
        made = Machine(0, torch.device("cpu"), torch.float32, Accelerator(cpu=True), Processes(rank, 3, rank))
        seed_globals(0)
        built = torch.rand(())
        made.part_ways()
        generators = (made.generator("data"), made.own_generator("sampler"), None)
        return [float(built), *(float(torch.rand((), generator=generator)) for generator in generators)]

    alone, main, second, third = make(), *(draws(rank) for rank in range(3))
    assert main[:2] == second[:2] == third[:2]
    assert len({main[2], second[2], third[2]}) == len({main[3], second[3], third[3]}) == 3
    assert main[2] == float(torch.rand((), generator=alone.generator("sampler"))), "the main process is a run of one"
