"""Adapters at work: put on a model, kept apart from its frozen weights, saved and read again."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tgframe.errors import CheckpointError, ModelError, did_you_mean
from tgframe.policies.lora import Lora
from tgframe.policies.storage import sha256_of
from tgframe.runtime.files import writing

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
MARK = "lora_"
"""In the name of every adapter weight, and of no other."""
DIGEST = "frozen_sha256"
NAME = "default"
"""What ``peft`` calls an adapter that nobody named."""


def require_peft() -> None:
    """Raise :class:`~tgframe.errors.ModelError` where ``peft`` is not installed."""
    if importlib.util.find_spec("peft") is None:
        raise ModelError('LoRA needs the package `peft`, which is not installed. Run `pip install "tgframe[lora]"`.')


def put_on(model: Any, options: Lora, generator: torch.Generator, name: str | None) -> Any:
    """Put new adapters on ``model`` (see :meth:`tgframe.policies.lora.Lora.apply`)."""
    require_peft()
    from peft import LoraConfig

    name = name or str(model.name_or_path)
    layers = linear_layers(model)
    config = LoraConfig(
        task_type=_task(model),
        r=options.r,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=None if options.modules is None else _checked(options.modules, layers, name),
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
    )
    return _wrapped(model, config, int(torch.randint(2**62, (), generator=generator)), name)


def save(adapted: Any, folder: Path) -> None:
    """Write adapters (see :meth:`tgframe.policies.lora.Lora.save`).

    Raises :class:`~tgframe.errors.RunFolderError` when the disk is full.
    """
    from peft import get_peft_model_state_dict

    config = copy.copy(adapted.peft_config[NAME])
    config.inference_mode = True
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)  # a set would be written in any order
    # Left to itself, peft asks the hub whether the base model's vocabulary has grown.
    found = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        config.save_pretrained(str(folder))


def load(model: Any, folder: Path) -> Any:
    """Put saved adapters on ``model`` (see :meth:`tgframe.policies.lora.Lora.load`)."""
    require_peft()
    from peft import LoraConfig, set_peft_model_state_dict

    try:
        weights = load_file(folder / WEIGHTS)
        config = LoraConfig.from_pretrained(str(folder))
        name, config.base_model_name_or_path = config.base_model_name_or_path, None
        config.inference_mode = False
        adapted = _wrapped(model, config, 0, name)
        result = set_peft_model_state_dict(adapted, weights)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"Adapters in {str(folder)!r} could not be loaded: {error}. {_REMEDY}") from error
    if wrong := [*result.missing_keys, *result.unexpected_keys]:
        raise ModelError(f"Adapters in {str(folder)!r} do not fit the model, such as {wrong[0]!r}. {_REMEDY}")
    return adapted


_REMEDY = f"Name a folder with {CONFIG!r} and {WEIGHTS!r}, and the base model that they were trained on."


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that can have an adapter, by name: linear ones, without the output head."""
    head = model.get_output_embeddings()  # type: ignore[operator]  # every transformers model has it
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
    }


def _wrapped(model: Any, config: Any, seed: int, name: str | None) -> Any:
    from peft import get_peft_model

    training = model.training
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft reads a property that transformers renames
            torch.default_generator.manual_seed(seed)
            adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ModelError(
            f"LoRA cannot be put on {name!r}: {str(error).rstrip('.')}. "
            f"Name linear layers of it in `lora.modules`, such as {_told(linear_layers(model))}."
        ) from error
    config.base_model_name_or_path = name
    leave_out_frozen(adapted)
    return adapted.train(training)


def _checked(modules: tuple[str, ...], layers: dict[str, nn.Module], name: str) -> list[str]:
    for module in modules:
        if not any(layer == module or layer.endswith(f".{module}") for layer in layers):
            raise ModelError(
                f"`lora.modules` must name linear layers of {name!r}, but {module!r} names none."
                f"{did_you_mean(module, _last_parts(layers))} It has {_told(layers)}."
            )
    return list(modules)


def _last_parts(layers: dict[str, nn.Module]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in layers})


def _told(layers: dict[str, nn.Module]) -> str:
    return ", ".join(map(repr, _last_parts(layers))) or "none"


def _task(model: Any) -> str:
    if model.get_output_embeddings() is None:
        return "FEATURE_EXTRACTION"
    return "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"


def leave_out_frozen(adapted: Any) -> None:
    """Let the state of a ``peft`` model hold its adapters and the sha256 of its frozen weights, which stay as they are
    when a state is loaded. One of other frozen weights raises :class:`~tgframe.errors.CheckpointError` then."""
    known: list[Tensor] = []

    def digest(module: Any) -> Tensor:
        if not known:  # frozen weights do not change, and copies of the model have the same
            frozen = {name.replace(".base_layer.", "."): tensor for name, tensor in _frozen(module).items()}
            known.append(torch.frombuffer(bytearray(sha256_of(frozen)), dtype=torch.int64))
        return known[0]

    def strip(module: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
        for name in [name for name in state if name.startswith(prefix) and MARK not in name]:
            del state[name]
        state[prefix + DIGEST] = digest(module)

    def fill(module: Any, state: dict[str, Any], prefix: str, *_: Any) -> None:
        found = state.pop(prefix + DIGEST, None)
        if found is not None and not torch.equal(found.cpu(), digest(module)):
            raise CheckpointError(
                "The adapters were trained on other frozen weights than those of this model. "
                "Use the model, and its dtype, that the checkpoint was written with."
            )
        state |= {f"{prefix}base_model.{name}": tensor for name, tensor in _frozen(module).items()}

    adapted.register_state_dict_post_hook(strip)
    adapted.register_load_state_dict_pre_hook(fill)


def _frozen(adapted: Any) -> dict[str, Tensor]:
    """Return the weights of the base model, under the names that they have inside ``adapted.base_model``."""
    return {name: tensor for name, tensor in adapted.base_model.state_dict().items() if MARK not in name}
