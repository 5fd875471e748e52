"""The machine as a run sees it: device, precision, randomness, memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tgframe.errors import DeviceError
from tgframe.runtime.device import find_device, find_precision
from tgframe.runtime.launch import divides_weights, load_everywhere, undivided
from tgframe.runtime.memory import peak_process_bytes
from tgframe.runtime.processes import ALONE, Processes
from tgframe.runtime.seeding import global_states, load_global_states, seed_globals, seed_of
from tgframe.runtime.shards import Shards


class Machine:
    """One run's device, precision and generators; implements :class:`tgframe.interfaces.context.Runtime`.

    Make it with :meth:`create`, before anything is initialised: it seeds the process.
    """

    def __init__(
        self,
        seed: int,
        device: torch.device,
        precision: torch.dtype,
        accelerator: Accelerator,
        processes: Processes = ALONE,
        divides: bool = False,
    ) -> None:
        self._seed = seed
        self._device = device
        self.precision = precision
        """dtype of forward passes; weights are float32 whatever it is."""
        self.processes = processes
        """This process and the others of the run."""
        self.divides = divides
        """Whether the processes are to divide the weights among them."""
        self.shards = Shards(processes)
        """What this process keeps of divided weights."""
        self._accelerator = accelerator
        self._generators: dict[str, torch.Generator] = {}

    @classmethod
    def create(cls, seed: int, device: str = "auto", precision: str = "auto", processes: Processes = ALONE) -> Machine:
        """Choose device and precision, and seed everything.

        Turns on torch's deterministic algorithms for the process, where an operation has one. Several processes divide
        the weights where ``accelerate launch`` was configured for FSDP. Raises
        :class:`~tgframe.errors.DeviceError` when this machine lacks the device or precision, or where the launcher asks
        for what there is not.
        """
        divides = divides_weights() and not processes.alone
        load_everywhere()
        place = find_device(device, processes)
        dtype = find_precision(precision, place)
        accelerator = _accelerate(place, processes)
        _be_deterministic()
        seed_globals(seed)
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)
        return cls(seed, place, dtype, accelerator, processes, divides)

    @property
    def device(self) -> torch.device:
        """Where tensors live."""
        return self._device

    @property
    def seed(self) -> int:
        """The recipe's seed."""
        return self._seed

    @property
    def is_main(self) -> bool:
        """True in the process that writes files."""
        return self.processes.is_main

    def generator(self, name: str) -> torch.Generator:
        """Return the CPU generator called ``name``: one object a name, seeded from the seed and the name."""
        if name not in self._generators:
            self._generators[name] = torch.Generator().manual_seed(seed_of(self._seed, name))
        return self._generators[name]

    def own_generator(self, name: str) -> torch.Generator:
        """Return the generator called ``name`` of this process alone; the main process has that of :meth:`generator`.

        For what each process draws for its own share: with one seed, all would draw the same.
        """
        return self.generator(name if self.is_main else f"{name}/process-{self.processes.rank}")

    def divide(self, weights: Mapping[str, Iterable[torch.nn.Parameter]]) -> None:
        """Divide weights, by the model that they are of, among the processes where these are to do so."""
        if self.divides:
            self.shards.divide(weights)

    def part_ways(self) -> None:
        """Seed the global generators of this process, once all have built the same parts; the main one goes on."""
        if not self.is_main:
            seed_globals(seed_of(self._seed, f"process-{self.processes.rank}"))

    def generator_states(self) -> dict[str, Any]:
        """Return the states of all generators, the process's global ones too, as a tree that a checkpoint can hold."""
        named = {name: generator.get_state() for name, generator in self._generators.items()}
        return {"named": named, "global": global_states(self._device)}

    def load_generator_states(self, states: dict[str, Any]) -> None:
        """Set what :meth:`generator_states` returned; generators handed out before stay the same objects."""
        for name, state in states["named"].items():
            self.generator(name).set_state(state)
        load_global_states(states["global"], self._device)

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Return the mixed-precision context of forward passes; nothing happens in fp32."""
        if self.precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=self.precision)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradients of a scalar loss to its parameters."""
        self._accelerator.backward(loss)

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it; for timing."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def peak_memory_bytes(self) -> int:
        """Return the most memory used so far: of the GPU since this object was made, else of the process."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return peak_process_bytes()


def _accelerate(device: torch.device, processes: Processes) -> Accelerator:
    # accelerate keeps its state once a process and would silently give a second run the first one's device.
    AcceleratorState._reset_state(reset_partial_state=True)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Precision is this module's own: accelerate's would outlive the run in the process-wide state.
    with undivided():
        accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
    if accelerator.num_processes != processes.count:
        raise DeviceError(
            f"This command must be {processes.count} process, but was launched as {accelerator.num_processes} instead. "
            "Several processes can do `tgframe run`, started by `torchrun` or `accelerate launch`."
        )
    return accelerator


def _be_deterministic() -> None:
    # cuBLAS reads this when it first runs; without it, equal runs differ in the last bits.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling new tensors with NaN finds bugs of torch, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
