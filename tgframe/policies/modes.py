"""Modes of models for a while: evaluation, and layers that are computed again in the backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from tgframe.errors import ModelError


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` in evaluation mode; put each submodule back as it was."""
    trained = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in trained:
            part.training = True


@contextlib.contextmanager
def recomputing(model: nn.Module) -> Iterator[None]:
    """Let each layer keep its inputs alone for the backward pass, which computes the rest again.

    The switch of ``transformers`` works in training mode only, and would let dropout in with it. Here no module changes
    its mode, and what is called inside may run its backward pass outside.
    """
    layers = checkpointed_layers(model)
    for layer in layers:
        vars(layer)["forward"] = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def checkpointed_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers that ``transformers`` would checkpoint, too."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def require_layers(model: nn.Module, name: str) -> None:
    """Raise :class:`~tgframe.errors.ModelError` where no layer could be computed again."""
    if not checkpointed_layers(model):
        raise ModelError(
            f"`policy.gradient_checkpointing` needs layers that transformers can checkpoint, but {name!r} "
            f"({type(model).__name__}) has none. Leave it out."
        )
