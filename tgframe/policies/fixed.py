"""A key-value cache that has its full length from the start, so that every token's pass has the same shapes.

A GPU then replays one recorded pass (a CUDA graph) for each token, instead of being told every kernel anew.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

from tgframe.errors import ModelError
from tgframe.policies.reader import Reader, Run, last_states

BLOCK = 64
"""Lengths are multiples of this, so that prompts of about the same length use the same cache."""
KEPT = 4
"""Caches of other shapes that are kept; what is compiled for a cache holds its addresses."""


class FixedCaches:
    """The caches of one policy; one that was used before is used again where its shape is wanted."""

    def __init__(self, config: Any, name: str, device: torch.device, compiled: bool) -> None:
        """Raise :class:`~tgframe.errors.ModelError` where the model ``name`` cannot have such a cache."""
        others = {type(layer).__name__ for layer in StaticCache(config, 1).layers} - {StaticLayer.__name__}
        if config.is_encoder_decoder or others:
            why = f"layers that cache otherwise ({min(others)})" if others else "an encoder"
            raise ModelError(
                f"`policy.static_cache` must be false for {name!r}, which has {why}. "
                "It needs a decoder-only model whose layers all look back at everything."
            )
        self._config = config
        self._kept: OrderedDict[tuple[int, int, torch.dtype], StaticCache] = OrderedDict()
        self.run: Run = last_states
        """The pass of one token: recorded on a GPU, and on the CPU compiled where that is wanted."""
        self.recorded = device.type == "cuda"
        if self.recorded or compiled:
            self.run = torch.compile(last_states, mode="reduce-overhead", dynamic=False)

    def of(self, rows: int, length: int, dtype: torch.dtype) -> StaticCache:
        """Return a cache for so many rows of at least ``length`` tokens; what it held is not cleared."""
        key = (rows, -(-length // BLOCK) * BLOCK, dtype)
        cache = self._kept.pop(key, None) or StaticCache(self._config, key[1])
        self._kept[key] = cache
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return cache


class FixedPast:
    """A past that grows while prompts are read, and then becomes one of fixed length, for all rows."""

    def __init__(self, caches: FixedCaches, reader: Reader, growing: Any, new_tokens: int) -> None:
        self._caches = caches
        self._reader = reader
        self._growing = growing
        self._new_tokens = new_tokens
        self._repeats = 1
        self._read: Tensor | None = None
        self._cache: StaticCache | None = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row ``repeats`` times."""
        self._repeats = repeats

    def batch_select_indices(self, indices: Tensor) -> None:
        """Raise TypeError: its shape is fixed."""
        raise TypeError("rows of a cache of fixed length cannot be left out")

    def states(self, model: Any, tokens: Tensor, mask: Tensor | None, positions: Tensor | None) -> Tensor:
        """Return the last hidden states ``[N,L,D]``: of what is read at first, then of one token a row."""
        if self._read is None:
            self._read = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
            return self._reader.states(model, tokens, mask, positions, self._growing)
        if self._cache is None:
            self._cache = self._fixed(self._read)
        self._positions += 1
        if self._caches.recorded:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        base: nn.Module = model.base_model
        return self._caches.run(
            base,
            input_ids=tokens,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
        )

    def _fixed(self, read: Tensor) -> StaticCache:
        """Return a cache of fixed length with what was ``read``, repeated: bool ``[B,C]``, True on real tokens."""
        rows, width = read.shape
        first = self._growing.layers[0].keys
        cache = self._caches.of(rows * self._repeats, width + self._new_tokens, first.dtype)
        for fixed, growing in zip(cache.layers, self._growing.layers, strict=True):
            keys = growing.keys.repeat_interleave(self._repeats, 0)
            values = growing.values.repeat_interleave(self._repeats, 0)
            if not fixed.is_initialized:
                fixed.lazy_initialization(keys, values)
            fixed.keys[:, :, :width].copy_(keys)
            fixed.values[:, :, :width].copy_(values)
            fixed.cumulative_length.fill_(width)
        read = read.repeat_interleave(self._repeats, 0)
        # What is not written yet counts as real: a token sees none that comes after it.
        self._mask = torch.nn.functional.pad(read, (0, cache.layers[0].max_cache_len - width), value=True)
        self._positions = read.sum(-1, keepdim=True) - 1
        self._growing = None
        return cache
