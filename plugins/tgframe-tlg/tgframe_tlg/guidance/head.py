"""The head that turns a hidden state into one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tgframe import ModelError

if TYPE_CHECKING:
    from tgframe_tlg.guidance.layout import Layout
    from tgframe_tlg.guidance.learned import Learned

PROBES = 64
"""Tokens whose hidden states are looked at to see whether the head is alive."""


def value_head(width: int, hidden: int, gain: float, bias: float, generator: torch.Generator) -> nn.Sequential:
    """Return an MLP ``[...,D] -> [...,1]`` with one ReLU layer, Xavier-uniform with ``gain``, biases constant."""
    # Made on the meta device, so that the layers' own initialisation draws nothing from the global generator.
    layers = [nn.Linear(*shape, device="meta").to_empty(device="cpu") for shape in ((width, hidden), (hidden, 1))]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight, gain, generator=generator)
        nn.init.constant_(layer.bias, bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


@torch.no_grad()
def check_alive(layout: Layout, head: nn.Sequential, options: Learned) -> None:
    """Raise :class:`~tgframe.ModelError` when no unit of the head's hidden layer responds to any of a few tokens.

    Such a head gives one value to everything and has no gradient: the fit would run, and learn nothing.
    """
    tokens = torch.arange(min(PROBES, layout.network.get_input_embeddings().num_embeddings)).unsqueeze(-1)
    if not head[:2](layout.probe(tokens)).any():
        raise ModelError(
            f"`guidance.bias` must leave units of the head alive, but {options.bias!r} with a gain of {options.gain!r} "
            f"leaves none on the hidden states of {options.model!r}. Set `guidance.bias=0.0`."
        )
