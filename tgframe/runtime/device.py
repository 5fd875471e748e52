"""Which device and precision a run gets, and what to say when this machine lacks them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tgframe.errors import DeviceError
from tgframe.runtime.processes import ALONE, Processes

PRECISIONS = ("auto", "fp32", "bf16")


def available_devices() -> list[str]:
    """Return the device names that a recipe may give on this machine."""
    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]


def find_device(name: str = "auto", processes: Processes = ALONE) -> torch.device:
    """Return the device called ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Of several processes each gets the GPU that has its number on its machine. Raises
    :class:`~tgframe.errors.DeviceError` listing what there is.
    """
    known = available_devices()
    if name == "auto":
        name = "cuda" if len(known) > 1 else "cpu"
    if not processes.alone:
        _refuse_sharing(name, known, processes)
    wanted = f"cuda:{processes.local_rank}" if name == "cuda" else name
    if wanted not in known:
        raise DeviceError(
            f"`runtime.device` must be one of this machine's devices, but is {name!r} instead. "
            f"This machine has {', '.join(map(repr, known))}; 'auto' takes the best of them."
        )
    return torch.device(wanted)


def _refuse_sharing(name: str, known: Sequence[str], processes: Processes) -> None:
    """Two processes on one GPU would wait for each other, or not start at all."""
    if name not in ("cpu", "cuda"):
        raise DeviceError(
            f"`runtime.device` must be 'auto', 'cuda' or 'cpu' in a run of {processes.count} processes, each of which "
            f"takes a GPU of its own, but is {name!r} instead."
        )
    if name == "cuda" and processes.local_rank >= len(known) - 1:
        raise DeviceError(
            f"Each process must have a GPU of its own, but process {processes.local_rank} of this machine finds "
            f"{len(known) - 1}. Start fewer processes, or set `runtime.device=cpu`."
        )


def find_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of forward passes for ``auto`` (bf16 where a GPU has it, else fp32), ``fp32`` or ``bf16``.

    Raises :class:`~tgframe.errors.DeviceError` when the device cannot compute in it.
    """
    if name not in PRECISIONS:
        known = ", ".join(map(repr, PRECISIONS))
        raise DeviceError(f"`runtime.precision` must be one of {known}, but is {name!r} instead.")
    if name == "fp32":
        return torch.float32
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and _has_bf16(device) else torch.float32
    if not _has_bf16(device):
        raise DeviceError(
            f"`runtime.precision` must be 'fp32' on {str(device)!r}, which has no bf16, but is 'bf16' instead. "
            "Set `runtime.precision=fp32`, or `auto`."
        )
    return torch.bfloat16


def _has_bf16(device: torch.device) -> bool:
    # Every CPU computes bf16, if slowly; of NVIDIA's GPUs those from Ampere (8.0) on do.
    return device.type == "cpu" or torch.cuda.get_device_capability(device)[0] >= 8
