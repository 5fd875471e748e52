"""What all policies over language models share: sampling, scoring, tokenizing."""

from __future__ import annotations

import contextlib
import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from tgframe.errors import ComponentError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.context import Runtime
from tgframe.interfaces.policy import Decoding, Draw, Limits, Policy, Scores
from tgframe.policies.beam import search
from tgframe.policies.decoder import DecoderOnly
from tgframe.policies.encoder_decoder import EncoderDecoder
from tgframe.policies.fixed import FixedCaches, FixedPast
from tgframe.policies.head import logits_of
from tgframe.policies.modes import evaluating, recomputing, require_layers
from tgframe.policies.passes import Passes
from tgframe.policies.reader import Reader
from tgframe.policies.scoring import at_mask, score_tokens
from tgframe.policies.tokens import SpecialTokens, padded, texts_of
from tgframe.runtime.decoding import Vocabulary, decode

PLAIN = Passes()


class LanguageModelPolicy(nn.Module, Policy):
    """A policy over a language model. Its reader knows how that reads; what is trained in it is the subclass's.

    Banned tokens and limits only shape what is *drawn*: scores are of the full vocabulary at temperature 1.
    """

    def __init__(self, model: Any, tokenizer: Any, runtime: Runtime, name: str, passes: Passes = PLAIN) -> None:
        super().__init__()
        if passes.recomputed:
            require_layers(model, name)
        kind = EncoderDecoder if model.config.is_encoder_decoder else DecoderOnly
        self._reader: Reader = kind(model, tokenizer, name, passes.compiled)
        self.tokenizer = tokenizer
        self.name = name
        """The model's name in the recipe, for errors."""
        self.decoding = Decoding()
        self.version = 0
        self.hidden_size = self._reader.hidden_size
        self._runtime = runtime
        self._passes = passes
        self._fixed: FixedCaches | None = None
        if passes.fixed:
            self._fixed = FixedCaches(model.config, name, runtime.device, passes.compiled)

    @property
    @abstractmethod
    def language_model(self) -> Any:
        """The ``transformers`` model inside."""

    @property
    def special(self) -> SpecialTokens:
        """The special ids of the model."""
        return self._reader.special

    def _logits(self, states: Tensor) -> Tensor:
        """Return logits ``[...,V]`` for the model's last hidden states ``[...,D]``."""
        return logits_of(self.language_model, states)

    def _reading(self) -> AbstractContextManager[None]:
        """Return the context of passes that may need a gradient."""
        if self._passes.recomputed and torch.is_grad_enabled():
            return recomputing(self.language_model)
        return contextlib.nullcontext()

    def sample(self, prompts: Prompts, k: int, draw: Draw, limits: Limits, generator: torch.Generator) -> Rollouts:
        """Write ``k`` completions for each prompt (see :meth:`tgframe.interfaces.policy.Policy.sample`)."""
        self._reader.check_length(prompts, self.decoding.prefix, limits.max_new_tokens)
        with evaluating(self), self._runtime.autocast():
            start, past = self._reader.open(self.language_model, prompts, self.decoding.prefix, self._runtime.device)
            thins = self._fixed is None
            if self._fixed is not None:
                past = FixedPast(self._fixed, self._reader, past, limits.max_new_tokens)
            drawn = decode(self._next_logits, past, start, k, draw, limits, self._vocabulary, generator, thins)
        return self._rollouts(prompts, drawn.tokens, drawn.mask, drawn.logprobs)

    def _next_logits(self, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, past: Any) -> Tensor:
        if isinstance(past, FixedPast):
            states = past.states(self.language_model, tokens, mask, positions)
        else:
            states = self._reader.states(self.language_model, tokens, mask, positions, past)
        return self._logits(states[:, -1]).float()

    def _rollouts(self, prompts: Prompts, tokens: Tensor, mask: Tensor, logprobs: Tensor | None) -> Rollouts:
        """Return what was written, ``[BK,T]``, in groups."""
        shape = (len(prompts), len(tokens) // max(1, len(prompts)), tokens.shape[-1])
        tokens, mask = tokens.reshape(shape), mask.reshape(shape)
        return Rollouts(
            prompts,
            tokens,
            mask,
            texts_of(self.tokenizer, tokens, mask),
            sample_logprobs=None if logprobs is None else logprobs.reshape(shape),
            version=self.version,
        )

    def beam(self, prompts: Prompts, k: int, limits: Limits, *, beams: int, length_penalty: float = 1.0) -> Rollouts:
        """Search for completions (see :meth:`tgframe.interfaces.policy.Policy.beam`), with ``generate``."""
        self._reader.check_length(prompts, self.decoding.prefix, limits.max_new_tokens)
        inputs, read = self._reader.generation(prompts, self.decoding.prefix, self._runtime.device)
        with evaluating(self), self._runtime.autocast():
            found = search(self.language_model, inputs, read, k, beams, length_penalty, limits, self._vocabulary)
        return self._rollouts(prompts, *found, None)

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        """Score completions in one pass (see :meth:`tgframe.interfaces.policy.Policy.score`).

        Only real tokens go through the output head. A decoder-only model reads the prompt once a completion, an encoder
        once a prompt.
        """
        prefix = self.decoding.prefix if prefix is None else prefix
        shape = tuple(rollouts.tokens.shape)
        self._reader.check_length(rollouts.prompts, prefix, shape[-1])
        device = self._runtime.device
        mask = rollouts.mask.to(device)
        real = mask.flatten().nonzero().squeeze(-1)
        with self._runtime.autocast():
            with self._reading():
                states = self._reader.states_before(self.language_model, rollouts, prefix, device)
            logprobs, entropy = score_tokens(
                self._logits,
                states.flatten(0, 1).index_select(0, real),
                rollouts.tokens.to(device).flatten().index_select(0, real),
                self._vocabulary.size,
                "entropy" in want,
            )
        hidden = states.reshape(*shape, -1).masked_fill(~mask.unsqueeze(-1), 0.0) if "hidden" in want else None
        return Scores(
            logprobs=at_mask(logprobs, real, shape),
            entropy=None if entropy is None else at_mask(entropy, real, shape),
            hidden=hidden,
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return logits float32 ``[N,L,V]`` for int64 tokens and bool mask ``[N,L]``; no start token is added.

        Raises :class:`~tgframe.errors.ModelError` for an encoder-decoder model.
        """
        device = self._runtime.device
        with self._runtime.autocast():
            with self._reading():
                states = self._reader.states_of(self.language_model, tokens.to(device), mask.to(device))
            return self._logits(states).float()

    def encode(
        self,
        texts: Sequence[str],
        ids: Sequence[str],
        *,
        split: str = "train",
        columns: Mapping[str, Sequence[Any]] | None = None,
        max_tokens: int | None = None,
    ) -> Prompts:
        """Tokenize prompt texts (see :meth:`tgframe.interfaces.policy.Policy.encode`)."""
        tokens, mask = padded(self._reader.sources(texts, max_tokens), self.special.pad, "left")
        return Prompts(tuple(ids), tuple(texts), tokens, mask, split=split, columns=columns or {})

    def complete(
        self, prompts: Prompts, texts: Sequence[Sequence[str]], *, max_tokens: int | None = None, end: bool = True
    ) -> Rollouts:
        """Tokenize given completions (see :meth:`tgframe.interfaces.policy.Policy.complete`)."""
        k = len(texts[0]) if texts else 0
        if any(len(group) != k for group in texts):
            counts = [len(group) for group in texts]
            raise ComponentError(f"Every prompt must have as many completions, but these have {counts} instead.")
        ending = [self.special.end] if end and self.special.end is not None else []
        whole = [row + ending for row in self._reader.targets([text for group in texts for text in group])]
        rows = [row[:max_tokens] for row in whole]
        tokens, mask = padded(rows, self.special.pad, "right")
        device = self._runtime.device
        tokens, mask = (part.to(device).reshape(len(texts), k, -1) for part in (tokens, mask))
        kept = tuple(map(tuple, texts))
        if rows != whole:
            kept = texts_of(self.tokenizer, tokens, mask)
        return Rollouts(prompts, tokens, mask, kept, version=self.version)

    def get_extra_state(self) -> Tensor:
        """Return what ``state_dict`` holds beside weights: the version, int64 ``[1]``."""
        return torch.tensor([self.version])

    def set_extra_state(self, state: Tensor) -> None:
        """Set what :meth:`get_extra_state` returned."""
        self.version = int(state[0])

    @property
    def _vocabulary(self) -> Vocabulary:
        size = int(self.language_model.get_output_embeddings().weight.shape[0])
        return Vocabulary(size, self.special.end, self.special.pad, self.decoding.banned)

    def _shared(self) -> list[Any]:
        """What a copy of the policy has in common with it."""
        return [self._runtime, self._reader, self._fixed, self.tokenizer]

    def __deepcopy__(self, memo: dict[int, Any]) -> LanguageModelPolicy:
        memo.update({id(part): part for part in self._shared()})
        twin: LanguageModelPolicy = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin
