"""From the last hidden states of a language model to its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tgframe.errors import ModelError


def speaker(model: Any) -> Any:
    """Return the language model that speaks: the decoder where that is one of its own, else ``model``.

    The decoder of an ``EncoderDecoderModel`` is a whole language model with a head; those of T5 and BART have none.
    """
    decoder = model.get_decoder() if model.config.is_encoder_decoder else model
    return model if decoder.get_output_embeddings() is None else decoder


def logits_of(model: Any, states: Tensor) -> Tensor:
    """Return the logits ``[...,V]`` that ``model`` gives for its (decoder's) last hidden states ``[...,D]``."""
    model = speaker(model)
    config = model.config
    if hasattr(model, "model_dim") and getattr(config, "scale_decoder_outputs", config.tie_word_embeddings):  # T5
        states = states * model.model_dim**-0.5
    logits: Tensor = _head(model)(states)
    if getattr(model, "final_logits_bias", None) is not None:  # BART
        logits = logits + model.final_logits_bias
    if getattr(config, "logit_scale", None) is not None:  # Cohere
        logits = logits * config.logit_scale
    if getattr(config, "logits_scaling", None) is not None:  # Granite
        logits = logits / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma
    return logits if cap is None else torch.tanh(logits / cap) * cap


def _head(model: Any) -> Any:
    """Return what follows the base model: output embeddings, and what some models (BERT) put before them."""
    embeddings = model.get_output_embeddings()
    children = reversed([*model.children()])  # the head is last; walking through the base model would take a while
    return next((child for child in children if any(part is embeddings for part in child.modules())), embeddings)


@torch.inference_mode()
def check_head(model: Any, name: str) -> None:
    """Raise :class:`~tgframe.errors.ModelError` when ``model`` is not decoder-only, or not known."""
    if model.base_model is model or model.get_output_embeddings() is None:
        raise ModelError(f"Model {name!r} has no output head behind a base model. Use a decoder-only language model.")
    tokens = torch.tensor([[0, 1]], device=model.device)
    states = model.base_model(tokens).last_hidden_state
    if not _close(states[:, :1], model.base_model(tokens[:, :1]).last_hidden_state):
        raise ModelError(
            f"Model {name!r} ({type(model).__name__}) reads what comes after a token to predict it. "
            "Use a decoder-only language model, or set `is_decoder` in its configuration."
        )
    check_logits(model, name, states, model(tokens).logits)


def check_logits(model: Any, name: str, states: Tensor, logits: Tensor) -> None:
    """Raise :class:`~tgframe.errors.ModelError` when ``model`` does more around its states than is known here.

    Scoring in chunks needs states and head apart, and must not silently score something else than the model's own
    ``logits`` ``[N,L,V]`` say.
    """
    apart = logits_of(model, states)
    if logits.shape != apart.shape or not _close(logits, apart):
        raise ModelError(
            f"Model {name!r} ({type(model).__name__}) changes its logits in a way that tgframe does not know. "
            "Use a model of another architecture."
        )


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one.float(), other.float(), rtol=1e-3, atol=1e-3)
