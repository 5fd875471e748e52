"""Loading models and tokenizers: safetensors only, no foreign code, errors that say what to do."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import find_adapter_config_file

from tgframe.errors import ModelError
from tgframe.runtime.progress import library_bars_off

# `RuntimeError` is how transformers reports weights that do not fit the configuration.
_CANNOT_LOAD = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


def load_model(
    auto_class: Any,
    name: str,
    dtype: torch.dtype = torch.float32,
    new_heads: bool = False,
    may_lack: Collection[str] = (),
    **options: Any,
) -> Any:
    """Return ``auto_class.from_pretrained(name)`` on the CPU, in evaluation mode, with weights in ``dtype``.

    ``auto_class`` is a class of ``transformers`` such as ``AutoModelForCausalLM``; ``name`` is a folder or hub name, as
    ``context.locate`` returns it; ``options`` are passed on. Reads safetensors only and never runs code that comes with
    a model. Weights that the files lack are an error, because they would be random, unless a text of ``may_lack`` is in
    their name or ``new_heads`` says that any may be initialised. A folder of adapters is an error, too.

    Raises :class:`~tgframe.ModelError` with the remedy: no such model, another architecture, missing weights.
    """
    _refuse_missing_folder("Model", name)
    options |= {"dtype": dtype, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    try:
        _refuse_adapters(name)
        with library_bars_off():
            model, info = auto_class.from_pretrained(name, **options)
    except _CANNOT_LOAD as error:
        raise _error("Model", name, error) from error
    missing = sorted(key for key in info["missing_keys"] if not any(part in key for part in may_lack))
    if missing and not new_heads:
        raise ModelError(
            f"Model {name!r} lacks {len(missing)} of the weights of {type(model).__name__}, such as {missing[0]!r}. "
            "Name a model that was saved as one of this kind."
        )
    return model.eval()


def load_tokenizer(name: str) -> Any:
    """Return the ``transformers`` tokenizer of a folder or hub name, as ``context.locate`` returns it.

    Never runs code that comes with it. Raises :class:`~tgframe.ModelError` with the remedy when it cannot be had.
    """
    _refuse_missing_folder("Tokenizer", name)
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except _CANNOT_LOAD as error:
        raise _error("Tokenizer", name, error) from error


def load_causal(name: str, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Return a decoder-only language model and its tokenizer (see :func:`load_model`)."""
    return load_model(AutoModelForCausalLM, name, dtype), load_tokenizer(name)


def load_seq2seq(name: str, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Return an encoder-decoder language model and its tokenizer (see :func:`load_model`).

    Raises :class:`~tgframe.ModelError` when there is no encoder, too.
    """
    model = load_model(AutoModelForSeq2SeqLM, name, dtype)
    if not model.config.is_encoder_decoder:
        raise ModelError(f"Model {name!r} must be an encoder-decoder model, but is a {type(model).__name__} instead.")
    return model, load_tokenizer(name)


def load_language_model(name: str) -> tuple[Any, Any]:
    """Return a language model and its tokenizer as their folder says: decoder-only or encoder-decoder."""
    _refuse_missing_folder("Model", name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except _CANNOT_LOAD as error:
        raise _error("Model", name, error) from error
    return load_seq2seq(name) if config.is_encoder_decoder else load_causal(name)


def _refuse_missing_folder(what: str, name: str) -> None:
    looks_like_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_path and not Path(name).is_dir():
        raise ModelError(f"{what} {name!r} looks like a path, but there is no such folder. Check the path.")


def _refuse_adapters(name: str) -> None:
    """Where ``peft`` is installed, transformers would put them on a base model of their choice, and read pickles."""
    if find_adapter_config_file(name) is not None:
        raise ModelError(
            f"Model {name!r} holds adapters, not a whole model. Name their base model, or merge both with "
            "`merge_and_unload` of peft and save the result."
        )


def _error(what: str, name: str, error: Exception) -> ModelError:
    lines = (line.strip(" .:!") for line in str(error).splitlines())
    reason = next(filter(None, lines), type(error).__name__)
    return ModelError(f"{what} {name!r} could not be loaded: {reason}. {_remedy(what, name, error)}")


def _remedy(what: str, name: str, error: Exception) -> str:
    from huggingface_hub import constants

    if Path(name).is_dir():
        return _folder_remedy(what, {path.name for path in Path(name).iterdir()})
    if "trust_remote_code" in str(error):
        return "It needs code of its own, which tgframe does not run: choose a model that transformers knows."
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set: unset it, download the model first, or name a local folder."
    return "Check the name (a hub name, a folder, `package:DISTRIBUTION`), the network, and whether it has safetensors."


def _folder_remedy(what: str, names: set[str]) -> str:
    if what == "Tokenizer":
        return "Name a folder in which `save_pretrained` wrote a tokenizer."
    if "config.json" not in names:
        return "The folder holds no 'config.json': name one in which `save_pretrained` wrote a model."
    if not any(name.endswith(".safetensors") for name in names):
        return "The folder holds no '*.safetensors': save the model again with `save_pretrained`."
    return "The folder is damaged, or holds no model of this kind: save or download it again."
