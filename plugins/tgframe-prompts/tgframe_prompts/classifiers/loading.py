"""Loads frozen classifiers and asks them how much they can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tgframe import ModelError

if TYPE_CHECKING:
    from tgframe import Context


def load(context: Context, name: str, auto: str) -> tuple[Any, Any]:
    """Return model (float32, evaluation mode, no gradients, on the run's device) and tokenizer.

    ``auto`` is the ``transformers`` class that loads it. Only safetensors are read. Raises
    :class:`~tgframe.ModelError` naming model and remedy.
    """
    import transformers

    where = context.locate(name)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where)
        model = getattr(transformers, auto).from_pretrained(where, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"`task.classifier.model` must be a model that {auto} can load, but {name!r} cannot be loaded: {error} "
            "Give a hub name, a folder in save_pretrained layout, or 'prefix/name' of an installed plugin, "
            "and the classifier type that fits the model."
        ) from error
    model = model.to(context.runtime.device).eval().requires_grad_(False)
    return model, tokenizer


def longest(model: Any, tokenizer: Any, limit: int | None) -> int:
    """Return how many tokens an input may have: the least of model, tokenizer and ``limit``."""
    found = [int(tokenizer.model_max_length)]
    for name, module in model.named_modules():
        if name.endswith(("position_embeddings", "wpe")) and isinstance(module, torch.nn.Embedding):
            # Models of the RoBERTa family count positions from the padding id on.
            found.append(module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1))
    stated = getattr(model.config, "max_position_embeddings", None)
    found += [int(value) for value in (stated, limit) if value is not None]
    return min(found)


def pad_id(tokenizer: Any) -> int:
    """Return an id to pad with; its value never matters, padding is masked."""
    return 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
