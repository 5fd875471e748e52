"""Randomness of a run: one generator a name, so that one part's draws never move another's."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy
import torch


def seed_of(seed: int, name: str) -> int:
    """Return the 63-bit seed of the stream called ``name``: the first bytes of sha256(``"seed/name"``)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]) >> 1


def seed_globals(seed: int) -> None:
    """Seed ``random``, ``numpy.random`` and torch's own generators (of all devices), each from its own name."""
    random.seed(seed_of(seed, "random"))
    numpy.random.seed(seed_of(seed, "numpy") % 2**32)
    torch.manual_seed(seed_of(seed, "torch"))


def global_states(device: torch.device) -> dict[str, Any]:
    """Return the states of all global generators, as a tree that a checkpoint can hold."""
    legacy: Any = numpy.random.get_state(legacy=True)
    name, keys, *rest = legacy
    numpy_state = (name, torch.tensor(keys.astype("int64")), *rest)
    states: dict[str, Any] = {"random": random.getstate(), "numpy": numpy_state, "torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def load_global_states(states: dict[str, Any], device: torch.device) -> None:
    """Set what :func:`global_states` returned."""
    random.setstate(states["random"])
    name, keys, *rest = states["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), *rest))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
