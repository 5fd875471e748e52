"""The language model that is improved: one face over causal, encoder-decoder and adaptor models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from tgframe.errors import ModelError
from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tgframe.interfaces.batch import Prompts, Rollouts


class Draw(Protocol):
    """How one token is drawn from the policy's logits. A sampler gives this to :meth:`Policy.sample`."""

    def __call__(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw from float32 ``[N,V]`` logits; return int64 ``[N]`` tokens and float32 ``[N]`` log-probabilities (nats)
        under the distribution that drew them. ``logits`` must not be changed in place."""
        ...


@attrs.frozen
class Limits:
    """How long completions may be, in tokens; the end token counts."""

    max_new_tokens: int
    min_new_tokens: int = 0
    """The end token cannot be drawn before this length. Equal to the maximum: fixed length, no end token at all."""


@attrs.frozen
class Decoding:
    """What changes when the policy is used: a prefix put after each prompt, tokens never written."""

    prefix: tuple[int, ...] = ()
    banned: frozenset[int] = frozenset()

    def __add__(self, other: Decoding) -> Decoding:
        """Return both together: the prefixes one after the other, all banned tokens."""
        return Decoding(self.prefix + other.prefix, self.banned | other.banned)


@attrs.frozen(eq=False)
class Scores:
    """What the policy says of given completions; 0 where the rollouts' mask is False."""

    logprobs: Tensor
    """float32 ``[B,K,T]``, nats: log pi(token | prompt, earlier tokens), full vocabulary, temperature 1."""
    entropy: Tensor | None = None
    """float32 ``[B,K,T]``, nats: entropy of the distribution each token was drawn from; None unless wanted."""
    hidden: Tensor | None = None
    """float ``[B,K,T,D]``: the last hidden state before each token; None unless wanted."""


class Policy(Specification["Policy"]):
    """A language model with its tokenizer. Parts that implement it are ``nn.Module`` objects as well.

    Token layout, the same for sampling, scoring and guidance: ``[start] prompt (left-padded) prefix completion``. An
    encoder-decoder model reads the prompt in its encoder, and ``[start] prefix completion`` in its decoder; its prompts
    hold the special tokens that the tokenizer puts around a source. ``tokenizer.eos_token_id`` ends a completion.
    """

    tokenizer: Any
    """The ``transformers`` tokenizer."""
    decoding: Decoding
    """Prefix and banned tokens in force: the task's and the objective's together, set when the run is composed."""
    version: int
    """Number of updates so far."""
    hidden_size: int
    """D."""

    @abstractmethod
    def sample(self, prompts: Prompts, k: int, draw: Draw, limits: Limits, generator: torch.Generator) -> Rollouts:
        """Write ``k`` completions for each prompt, in inference mode, evaluation mode, with a key-value cache.

        The rollouts' ``exact`` is False: the sampler knows whether its draw is a true one, and says so.
        Raises :class:`~tgframe.errors.ModelError` when a completion could outgrow the model's positions.
        """

    def beam(self, prompts: Prompts, k: int, limits: Limits, *, beams: int, length_penalty: float = 1.0) -> Rollouts:
        """Return the ``k`` best of ``beams`` completions for each prompt, best first, that a beam search finds.

        They are compared by their log-probability divided by ``length ** length_penalty``. Nothing is drawn:
        ``sample_logprobs`` is None, ``exact`` False. Raises :class:`~tgframe.errors.ModelError` where a completion
        could outgrow the model's positions, or the policy cannot search.
        """
        raise ModelError(f"A {type(self).__name__} has no beam search. Use sampler 'greedy', or another policy.")

    @abstractmethod
    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        """Return log-probabilities, and what ``want`` names of ``entropy`` and ``hidden``, with gradient if enabled.

        ``prefix`` stands between prompt and completion; None is the one in force (``decoding.prefix``).
        """

    @abstractmethod
    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return logits float ``[N,L,V]`` for sequences int64 ``[N,L]`` that an objective builds itself.

        Raises :class:`~tgframe.errors.ModelError` where the model does not read prompt and completion as one sequence.
        """

    @abstractmethod
    def encode(
        self,
        texts: Sequence[str],
        ids: Sequence[str],
        *,
        split: str = "train",
        columns: Mapping[str, Sequence[Any]] | None = None,
        max_tokens: int | None = None,
    ) -> Prompts:
        """Tokenize prompt texts into :class:`~tgframe.interfaces.batch.Prompts`; an empty text is legal.

        Texts longer than ``max_tokens`` lose their end: a task that would rather lose another part cuts beforehand. The
        special tokens of an encoder-decoder model's source count, and are never lost.
        """

    @abstractmethod
    def complete(
        self, prompts: Prompts, texts: Sequence[Sequence[str]], *, max_tokens: int | None = None, end: bool = True
    ) -> Rollouts:
        """Tokenize ``B`` groups of ``K`` given completions into rollouts (``exact`` False).

        The end token is added where ``end`` is set and the completion is not cut to ``max_tokens``.
        """

    def add_tokens(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of control tokens, added to vocabulary and model where they are new: calling twice is safe.

        New embeddings start at the mean of the old. Raises :class:`~tgframe.errors.ModelError` where it cannot grow.
        """
        raise ModelError(f"A {type(self).__name__} cannot grow its vocabulary. Use another policy.")

    @abstractmethod
    def save_pretrained(self, folder: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer. Where the model is a plain ``transformers`` model,
        its ``from_pretrained`` loads the folder."""

    @abstractmethod
    def trainable(self) -> Iterable[torch.nn.Parameter]:
        """The parameters that improvement updates."""
