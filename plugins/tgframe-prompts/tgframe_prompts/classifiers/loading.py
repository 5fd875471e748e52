"""Loads frozen classifiers and asks them how much they can read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from tgframe import ModelError

if TYPE_CHECKING:
    from tgframe import Context

_CANNOT_LOAD = (OSError, ValueError, KeyError, ImportError, RuntimeError)


def load(context: Context, name: str, auto: str) -> tuple[Any, Any]:
    """Return model (float32, evaluation mode, no gradients, on the run's device) and tokenizer.

    ``auto`` is the ``transformers`` class that loads it. Only safetensors are read, and no code that comes with a model
    is run. Raises :class:`~tgframe.ModelError` naming model and remedy, also where weights of the head are missing.
    """
    import transformers

    where = context.locate(name)
    options = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        with _no_bars():
            model, info = getattr(transformers, auto).from_pretrained(where, **options)
    except _CANNOT_LOAD as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"`task.classifier.model` must be a model that {auto} can load, but {name!r} cannot be loaded: {reason} "
            "Give a hub name, a folder in save_pretrained layout, or 'prefix/name' of an installed plugin, "
            "and the classifier type that fits the model."
        ) from error
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)  # no classifier here pools that way
    if missing:
        raise ModelError(
            f"`task.classifier.model` must hold all weights of {type(model).__name__}, but {name!r} lacks "
            f"{len(missing)}, such as {missing[0]!r}. Choose a model that was trained as one, or another type."
        )
    return model.to(context.runtime.device).eval().requires_grad_(False), tokenizer


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


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing bars of its own."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()
