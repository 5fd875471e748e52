"""Nested states as JSON beside tensors: what a checkpoint can hold, without pickle.

A state is built of dicts (any key that is itself a state without tensors), lists, tuples, numbers, text, booleans, None
and tensors. Plain JSON values stand for themselves; everything else is a JSON object with one tag::

    {"dict": [[key, value], ...]}   {"list": [...]}   {"tuple": [...]}   {"float": "nan"}   {"tensor": "3"}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

HEAD = 8
"""Bytes before a packed state that say how long its JSON is."""


def pack(value: Any) -> bytes:
    """Return a state as bytes: the length of its JSON, its JSON, its tensors as safetensors."""
    encoder = Encoder()
    tree = json.dumps(encoder.encode(value), allow_nan=False).encode()
    return len(tree).to_bytes(HEAD) + tree + save(encoder.tensors)


def unpack(data: bytes) -> Any:
    """Return the state that :func:`pack` was given, tensors on the CPU."""
    start = HEAD + int.from_bytes(data[:HEAD])
    return decode(json.loads(data[HEAD:start]), load(data[start:]))


class Encoder:
    """Turns one state into JSON and collects its tensors, each storage view once."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        """Name to contiguous CPU tensor."""
        self._names: dict[tuple[Any, ...], str] = {}
        self._storages: set[int] = set()
        self._kept: list[Tensor] = []  # alive, so that no address is seen twice by chance

    def encode(self, value: Any, path: str = "state") -> Any:
        """Return the JSON of ``value``. ``path`` names it in errors: TypeError for what a state cannot hold."""
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, Tensor):
            return {"tensor": self._name(value, path)}
        if isinstance(value, Mapping):
            items = value.items()
            return {"dict": [[self._key(key, path), self.encode(item, f"{path}[{key!r}]")] for key, item in items]}
        if type(value) in (list, tuple):
            tag = type(value).__name__
            return {tag: [self.encode(item, f"{path}[{index}]") for index, item in enumerate(value)]}
        raise TypeError(
            f"{path} is {type(value).__name__}; "
            "a state holds dicts, lists, tuples, numbers, text, booleans, None and tensors"
        )

    def _key(self, key: Any, path: str) -> Any:
        if isinstance(key, Tensor):
            raise TypeError(f"a key of {path} is a tensor")
        return self.encode(key, f"a key of {path}")

    def _name(self, tensor: Tensor, path: str) -> str:
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise TypeError(f"{path} is a {tensor.layout} tensor; a state holds dense ones")
        # Tied weights are one tensor under two names: they stay one, in the file and when read back.
        identity = (tensor.data_ptr(), tensor.device, tensor.dtype, tuple(tensor.shape), tensor.stride())
        if tensor.numel() == 0 or identity not in self._names:
            self._names[identity] = str(len(self.tensors))
            self.tensors[self._names[identity]] = self._alone(tensor)
        return self._names[identity]

    def _alone(self, tensor: Tensor) -> Tensor:
        # safetensors refuses tensors that share storage (views of one another); copy only those.
        self._kept.append(tensor)
        ours = tensor.detach().cpu().contiguous()
        storage = ours.untyped_storage().data_ptr()
        if storage in self._storages:
            return ours.clone()
        self._storages.add(storage)
        return ours


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state that :class:`Encoder` made ``value`` and ``tensors`` from. Else ValueError, KeyError."""
    if isinstance(value, list):
        raise ValueError("a list without a tag")
    if not isinstance(value, dict):
        return value
    ((tag, body),) = value.items()
    if tag == "dict":
        return {decode(key, tensors): decode(item, tensors) for key, item in body}
    if tag == "list":
        return [decode(item, tensors) for item in body]
    if tag == "tuple":
        return tuple(decode(item, tensors) for item in body)
    if tag == "float":
        return float(body)
    if tag == "tensor":
        return tensors[body]
    raise ValueError(f"unknown tag {tag!r}")
