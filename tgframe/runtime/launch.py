"""What ``accelerate launch`` was configured for, read from the environment that it makes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tgframe.errors import DeviceError

DIVIDES = "ACCELERATE_USE_FSDP"
"""Set where the processes are to divide the weights among them."""
REFUSED = {"ACCELERATE_USE_DEEPSPEED": "DeepSpeed", "ACCELERATE_USE_MEGATRON_LM": "Megatron"}
"""Other ways to divide a model, and how they are called."""
OPTIONS = {
    "FSDP_OFFLOAD_PARAMS": (("true",), "Weights stay on their device: set it to false."),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        ("true",),
        "Set it to false, and `policy.gradient_checkpointing: true` in the recipe.",
    ),
    "FSDP_SHARDING_STRATEGY": (
        ("no_shard", "3", "hybrid_shard", "4", "hybrid_shard_zero2", "5"),
        "Weights are divided among all processes: set it to FULL_SHARD.",
    ),
}
"""Options of FSDP: the values that cannot be had, and what to do."""


def divides_weights() -> bool:
    """Return whether the processes are to divide the weights.

    Raises :class:`~tgframe.errors.DeviceError` where they are to do so in a way that there is not.
    """
    for variable, name in REFUSED.items():
        if _is_on(variable):
            raise DeviceError(
                f"Weights can be divided by FSDP, but accelerate is configured for {name} instead. "
                "Run `accelerate config` again and choose FSDP or none, or start with `torchrun`."
            )
    if not _is_on(DIVIDES):
        return False
    for variable, (values, remedy) in OPTIONS.items():
        found = os.environ.get(variable, "")
        if found.lower() in values:
            raise DeviceError(f"accelerate is configured with `{variable.lower()}: {found}`. {remedy}")
    return True


def load_everywhere() -> None:
    """Let every process load the weights: configured for FSDP, ``transformers`` may load them in the first alone."""
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "false").lower() == "true"


@contextlib.contextmanager
def undivided() -> Iterator[None]:
    """Hide the wish from ``accelerate``, which divides one model with one optimizer: a run has more of both."""
    wish = os.environ.pop(DIVIDES, None)
    try:
        yield
    finally:
        if wish is not None:
            os.environ[DIVIDES] = wish
