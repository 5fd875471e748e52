"""Which bucket a file belongs to: decided by its name alone, so that it is the same on every machine."""

from __future__ import annotations

import hashlib
from typing import Final, Literal

Bucket = Literal["models", "train", "dev", "test"]

BUCKETS: Final[dict[Bucket, float]] = {"models": 0.60, "train": 0.10, "dev": 0.08, "test": 0.22}
"""Share of the files by bucket. The embedded models see `models` only; few-shot rows come from the other three."""


def position(distribution: str, path: str) -> float:
    """Place of a file in [0, 1): the first eight bytes of sha256("distribution:path"), as a fraction.

    `path` is the path inside the distribution with forward slashes, such as "torch/nn/functional.py".
    """
    digest = hashlib.sha256(f"{distribution}:{path}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def bucket(distribution: str, path: str) -> Bucket:
    """The bucket of a file: the whole file, and every docstring in it, belongs to exactly one."""
    where, upper = position(distribution, path), 0.0
    for name, share in BUCKETS.items():
        upper += share
        if where < upper:
            return name
    return "test"  # only reached through rounding of the sum of shares
