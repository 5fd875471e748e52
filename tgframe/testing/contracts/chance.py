"""Where randomness came from: the global generators, which parts must leave alone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def stirred() -> tuple[Any, ...]:
    """Move every global generator on, so that seeding one anew cannot go unseen, and return their state."""
    random.random()
    np.random.random()
    torch.rand(1)
    return global_state()


def global_state() -> tuple[Any, ...]:
    """Return the state of every global generator (torch, Python, NumPy), to be compared with an earlier one."""
    numpy = np.random.get_state(legacy=False)["state"]
    return torch.get_rng_state().tolist(), random.getstate(), numpy["key"].tolist(), numpy["pos"]


def seeded(seed: int = 0) -> torch.Generator:
    """Return a fresh generator on the CPU."""
    return torch.Generator().manual_seed(seed)
