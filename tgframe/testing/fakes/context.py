"""A context without a run."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import attrs
import torch

from tgframe.interfaces.context import Context
from tgframe.testing.fakes.model import Architecture, write_tiny_model


@attrs.define
class FakeRuntime:
    """The CPU, single precision, and generators by name."""

    seed: int = 0
    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    _generators: dict[str, torch.Generator] = attrs.field(factory=dict)

    def generator(self, name: str) -> torch.Generator:
        """Return the generator called ``name``, the same object every time."""
        if name not in self._generators:
            digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
            self._generators[name] = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
        return self._generators[name]

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that changes nothing."""
        return contextlib.nullcontext()


def make_context(*, seed: int = 0, cache_dir: Path | None = None, **parts: Any) -> Context:
    """Return a context with the given parts (``policy=…``, ``aggregator=…``).

    Models resolve to folders as they are. Any other name becomes a tiny model: masked or encoder-decoder where the name
    says ``mask``, ``bert`` or ``t5``, else causal.
    """
    folder = cache_dir or Path(tempfile.mkdtemp(prefix="tgframe-cache-"))

    def locate(name: str) -> str:
        if Path(name).is_dir():
            return name
        kind = architecture_of(name)
        return str(write_tiny_model(folder / "models" / kind, kind))

    return Context(FakeRuntime(seed), locate, folder, parts)


def architecture_of(name: str) -> Architecture:
    """Guess the architecture that a model name asks for."""
    lower = name.lower()
    if "t5" in lower or "seq2seq" in lower:
        return "seq2seq"
    return "masked" if "mask" in lower or "bert" in lower else "causal"
