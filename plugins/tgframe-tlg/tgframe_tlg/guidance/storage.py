"""Learned guidance on disk.

``backbone/`` is a model folder as ``transformers`` writes it, tokenizer included, and may itself be named as a model.
With ``lora`` it holds the tokenizer and adapters as ``peft`` reads them. ``head.safetensors`` holds the head,
``guidance.json`` the options and the prefix in force.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from safetensors.torch import load_file, save_file

from tgframe import Lora, ModelError, load_tokenizer
from tgframe_tlg.guidance.backbone import load_network
from tgframe_tlg.guidance.head import value_head
from tgframe_tlg.guidance.learned import Learned
from tgframe_tlg.guidance.model import LearnedGuidance

BACKBONE, HEAD, OPTIONS = "backbone", "head.safetensors", "guidance.json"


def save_guidance(guidance: LearnedGuidance, folder: Path) -> None:
    """Write ``guidance`` to ``folder``, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    if guidance.options.lora is None:
        guidance.backbone.save_pretrained(folder / BACKBONE)
    else:
        Lora.save(guidance.backbone, folder / BACKBONE)
    guidance.tokenizer.save_pretrained(folder / BACKBONE)
    save_file({name: tensor.contiguous() for name, tensor in guidance.head.state_dict().items()}, folder / HEAD)
    written = {"type": "learned", "options": attrs.asdict(guidance.options), "prefix": list(guidance.prefix())}
    (folder / OPTIONS).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def load_guidance(folder: Path, locate: Callable[[str], str] = lambda name: name) -> LearnedGuidance:
    """Read what :func:`save_guidance` wrote; it is in evaluation mode, on the CPU.

    ``locate`` finds the base model of adapters by the name that the recipe gave it. Raises
    :class:`~tgframe.ModelError` when the folder is not complete.
    """
    try:
        written = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
        options = _options(written["options"])
        backbone = _backbone(options, folder / BACKBONE, locate)
        tokenizer = load_tokenizer(str(folder / BACKBONE))
        weights = load_file(folder / HEAD)
        hidden, width = weights["0.weight"].shape
        head = value_head(width, hidden, options.gain, options.bias, torch.Generator())
        head.load_state_dict(weights)
    except (ModelError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{str(folder)!r} must hold saved guidance, but cannot be read: {error}") from error
    prefix = tuple(written["prefix"])
    return LearnedGuidance(options, backbone, head, tokenizer, lambda: prefix)


def _options(written: Mapping[str, Any]) -> Learned:
    lora = written.get("lora")
    if lora is not None:
        lora = Lora(**{**lora, "modules": None if lora["modules"] is None else tuple(lora["modules"])})
    return Learned(**{**written, "lora": lora})


def _backbone(options: Learned, folder: Path, locate: Callable[[str], str]) -> Any:
    if options.lora is None:
        return load_network(str(folder))
    return Lora.load(load_network(locate(options.model)), folder)
