"""Learned guidance on disk.

``backbone/`` is a model folder as ``transformers`` writes it, tokenizer included, and may itself be named as a model;
``head.safetensors`` holds the head, ``guidance.json`` the options and the prefix in force.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from tgframe import ModelError
from tgframe_tlg.guidance.head import value_head
from tgframe_tlg.guidance.learned import Learned
from tgframe_tlg.guidance.model import LearnedGuidance

if TYPE_CHECKING:
    from typing import Any

BACKBONE, HEAD, OPTIONS = "backbone", "head.safetensors", "guidance.json"


def save_guidance(guidance: LearnedGuidance, folder: Path) -> None:
    """Write ``guidance`` to ``folder``, which is made if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    backbone: Any = guidance.backbone
    backbone.save_pretrained(folder / BACKBONE)
    guidance.tokenizer.save_pretrained(folder / BACKBONE)
    save_file({name: tensor.contiguous() for name, tensor in guidance.head.state_dict().items()}, folder / HEAD)
    written = {"type": "learned", "options": attrs.asdict(guidance.options), "prefix": list(guidance.prefix())}
    (folder / OPTIONS).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def load_guidance(folder: Path) -> LearnedGuidance:
    """Read what :func:`save_guidance` wrote; it is in evaluation mode, on the CPU.

    Raises :class:`~tgframe.ModelError` when the folder is not complete.
    """
    try:
        written = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
        options = Learned(**written["options"])
        backbone = AutoModel.from_pretrained(folder / BACKBONE, dtype=torch.float32, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder / BACKBONE)
        head = value_head(backbone.config.hidden_size, options.hidden, options.gain, options.bias, torch.Generator())
        head.load_state_dict(load_file(folder / HEAD))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{str(folder)!r} must hold saved guidance, but cannot be read: {error}") from error
    prefix = tuple(written["prefix"])
    return LearnedGuidance(options, backbone, head, tokenizer, lambda: prefix)
