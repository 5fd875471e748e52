"""The head that turns a hidden state into one number."""

from __future__ import annotations

import torch
from torch import nn

BIAS = -1e-4


def value_head(width: int, hidden: int, gain: float, generator: torch.Generator) -> nn.Sequential:
    """Return an MLP ``[...,D] -> [...,1]`` with one ReLU layer, drawn from ``generator``.

    Weights are Xavier-uniform with ``gain``, biases -1e-4: with the paper's gain of 1e-4 every token starts with nearly
    the same value.
    """
    # Made on the meta device, so that the layers' own initialisation draws nothing from the global generator.
    layers = [nn.Linear(*shape, device="meta").to_empty(device="cpu") for shape in ((width, hidden), (hidden, 1))]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight, gain, generator=generator)
        nn.init.constant_(layer.bias, BIAS)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
