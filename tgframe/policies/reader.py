"""How a language model reads, whatever is trained in it: the face of decoder-only and encoder-decoder models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tgframe.errors import ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.policies.tokens import SpecialTokens
from tgframe.runtime.decoding import Past, Prefill

Run = Callable[..., Tensor]
"""One pass: a module and its inputs by name to its last hidden states (:func:`last_states`, or that compiled)."""


class Reader(ABC):
    """Texts in, last hidden states out. Holds no weights: every pass is given the model.

    Passes without a past score, and are compiled where that is wanted; passes with one write.
    """

    special: SpecialTokens
    hidden_size: int
    """D, of the states that the output head reads."""

    def __init__(self, tokenizer: Any, name: str, compiled: bool) -> None:
        self.tokenizer = tokenizer
        self.name = name
        """The model's name in the recipe, for errors."""
        self._scored: Run = torch.compile(last_states, dynamic=True) if compiled else last_states

    @abstractmethod
    def sources(self, texts: Sequence[str], max_tokens: int | None) -> list[list[int]]:
        """Return the ids of prompt texts."""

    @abstractmethod
    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of completion texts, without special tokens."""

    @abstractmethod
    def check_length(self, prompts: Prompts, prefix: tuple[int, ...], new_tokens: int) -> None:
        """Raise :class:`~tgframe.errors.ModelError` when a completion could outgrow the model's positions."""

    @abstractmethod
    def open(self, model: Any, prompts: Prompts, prefix: tuple[int, ...], device: torch.device) -> tuple[Prefill, Past]:
        """Return what is read before the first new token, and the past that grows with it."""

    @abstractmethod
    def states(self, model: Any, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, past: Any) -> Tensor:
        """Return the last hidden states ``[N,L,D]`` of int64 ``[N,L]`` tokens that follow ``past``."""

    @abstractmethod
    def states_before(self, model: Any, rollouts: Rollouts, prefix: tuple[int, ...], device: torch.device) -> Tensor:
        """Return the state before each completion token, ``[BK,T,D]``; the last states of the prefill are the first."""

    @abstractmethod
    def states_of(self, model: Any, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the last hidden states ``[N,L,D]`` of sequences int64 ``[N,L]`` that nobody but the caller lays out.

        Raises :class:`~tgframe.errors.ModelError` where such a sequence means nothing to the model.
        """

    @abstractmethod
    def generation(
        self, prompts: Prompts, prefix: tuple[int, ...], device: torch.device
    ) -> tuple[dict[str, Tensor], int]:
        """Return the inputs of ``generate``, and how many of the tokens that it returns are not new."""

    def check_tokenizer(self, embeddings: int) -> None:
        """Raise :class:`~tgframe.errors.ModelError` when the tokenizer has ids that the model has no embedding for."""
        if len(self.tokenizer) > embeddings:
            raise ModelError(
                f"The tokenizer of {self.name!r} knows {len(self.tokenizer)} tokens, but the model only {embeddings}. "
                "Use a tokenizer and model that were saved together."
            )


def last_states(module: Any, **inputs: Any) -> Tensor:
    """Return the last hidden states ``[N,L,D]`` that one pass of a ``transformers`` module gives."""
    states: Tensor = module(**inputs).last_hidden_state
    return states
