"""How the passes that score are made, whatever is scored."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import attrs

from tgframe.errors import ModelError

if TYPE_CHECKING:
    import torch

COMPILERS = ("g++", "clang++", "cl")
"""What ``torch.compile`` looks for on the CPU, beside the one that the environment variable ``CXX`` names."""


@attrs.frozen
class Passes:
    """What is done to passes, to save memory or time. It changes no number beyond rounding."""

    recomputed: bool = False
    """Layers keep their inputs alone, and are computed again in the backward pass."""
    compiled: bool = False
    """``torch.compile`` makes the passes, for all shapes at once."""
    fixed: bool = False
    """The cache of sampling has its full length from the start, and its passes one shape."""


def require_compiler(device: torch.device) -> None:
    """Raise :class:`~tgframe.errors.ModelError` where passes on ``device`` cannot be compiled."""
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(map(shutil.which, (named,) if named else COMPILERS)):
        raise ModelError(
            "`policy.compile` needs a C++ compiler on the CPU, but there is none. Install g++, or leave it out."
        )
