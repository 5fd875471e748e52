"""Folders of saved policies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tgframe.runtime.files import writing
from tgframe.runtime.progress import library_bars_off


def save_language_model(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write a model and its tokenizer in ``save_pretrained`` layout.

    Raises :class:`~tgframe.errors.RunFolderError` when the disk is full.
    """
    with writing(folder), library_bars_off():
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
    save_tokenizer(folder, tokenizer)


def save_tokenizer(folder: Path, tokenizer: Any) -> None:
    """Write a tokenizer. Raises :class:`~tgframe.errors.RunFolderError` when the disk is full."""
    with writing(folder):
        tokenizer.save_pretrained(folder)


def sha256_of(weights: Mapping[str, Tensor]) -> bytes:
    """Return a sha256 over weights: their names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.digest()
