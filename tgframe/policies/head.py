"""From the last hidden states of a causal model to its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tgframe.errors import ModelError


def logits_of(model: Any, states: Tensor) -> Tensor:
    """Return the logits ``[...,V]`` that ``model`` gives for its base model's last hidden states ``[...,D]``."""
    config = model.config
    logits: Tensor = model.get_output_embeddings()(states)
    if getattr(config, "logit_scale", None) is not None:  # Cohere
        logits = logits * config.logit_scale
    if getattr(config, "logits_scaling", None) is not None:  # Granite
        logits = logits / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma
    return logits if cap is None else torch.tanh(logits / cap) * cap


@torch.inference_mode()
def check_head(model: Any, name: str) -> None:
    """Raise :class:`~tgframe.errors.ModelError` when ``model`` does more behind its base model than is known here.

    Scoring in chunks needs the two apart, and must not silently score something else than the model itself would say.
    """
    if model.base_model is model or model.get_output_embeddings() is None:
        raise ModelError(f"Model {name!r} has no output head behind a base model. Use a decoder-only language model.")
    tokens = torch.tensor([[0, 1]], device=model.device)
    whole = model(tokens).logits
    apart = logits_of(model, model.base_model(tokens).last_hidden_state)
    if whole.shape != apart.shape or not torch.allclose(whole.float(), apart.float(), rtol=1e-3, atol=1e-3):
        raise ModelError(
            f"Model {name!r} ({type(model).__name__}) changes its logits in a way that tgframe does not know. "
            "Use a model of another architecture."
        )
