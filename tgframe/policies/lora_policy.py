"""The working part behind :class:`tgframe.policies.language_model.LanguageModel` with ``lora``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tgframe.errors import ModelError
from tgframe.interfaces.context import Locate, Runtime
from tgframe.policies import adapters
from tgframe.policies.language_model_policy import PLAIN, LanguageModelPolicy
from tgframe.policies.passes import Passes
from tgframe.policies.storage import save_tokenizer
from tgframe.runtime.pretrained import load_language_model, load_tokenizer


class LoraPolicy(LanguageModelPolicy):
    """A language model that stays frozen, with adapters that are trained.

    ``state_dict`` holds the adapters, the version, and the sha256 of the frozen weights. Copies share the frozen
    weights: they never change.
    """

    def __init__(self, model: Any, tokenizer: Any, runtime: Runtime, name: str, passes: Passes = PLAIN) -> None:
        super().__init__(model.get_base_model(), tokenizer, runtime, name, passes)
        self.model = model
        """The ``peft`` model."""
        self.eval()

    @property
    def language_model(self) -> Any:
        """The ``transformers`` model inside, with the adapters in it."""
        return self.model.get_base_model()

    def without_adapters(self) -> AbstractContextManager[None]:
        """Return a context in which this is the base model. No backward pass may happen inside."""
        return self.model.disable_adapter()  # type: ignore[no-any-return]

    def add_tokens(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of control tokens that are in the vocabulary already.

        Raises :class:`~tgframe.errors.ModelError` for any other: its embedding would stay frozen where it starts, and
        new tokens could not be told apart.
        """
        known = self.tokenizer.get_vocab()
        new = [token for token in tokens if token not in known]
        if new:
            raise ModelError(
                f"A policy with `lora` cannot grow its vocabulary, but {', '.join(map(repr, new))} must be added to "
                f"{self.name!r}: embeddings are frozen. Leave out `policy.lora`, or use a model that has these tokens."
            )
        return tuple(known[token] for token in tokens)

    def trainable(self) -> Iterable[nn.Parameter]:
        """The adapters' weights."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def save_pretrained(self, folder: Path) -> None:
        """Write adapters and tokenizer, loadable with ``peft.PeftModel.from_pretrained``.

        The configuration names the base model as the recipe does. The base model itself is not written.
        """
        with torch.no_grad():
            adapters.save(self.model, folder)
        save_tokenizer(folder, self.tokenizer)

    @classmethod
    def load(cls, folder: Path, runtime: Runtime, locate: Locate) -> LoraPolicy:
        """Return the policy that :meth:`save_pretrained` wrote. Raises :class:`~tgframe.errors.ModelError`."""
        try:
            name = str(json.loads((folder / adapters.CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"])
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{str(folder / adapters.CONFIG)!r} names no base model: {error}.") from error
        model, _ = load_language_model(locate(name))
        adapted = adapters.load(model, folder)
        return cls(adapted.to(runtime.device), load_tokenizer(str(folder)), runtime, name)

    def _shared(self) -> list[Any]:
        frozen = (tensor for name, tensor in self.model.named_parameters() if adapters.MARK not in name)
        return [*super()._shared(), *frozen]
