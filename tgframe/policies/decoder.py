"""What all policies over decoder-only models share: sampling, scoring, tokenizing."""

from __future__ import annotations

import contextlib
import copy
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from tgframe.errors import ComponentError, ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.context import Runtime
from tgframe.interfaces.policy import Decoding, Draw, Limits, Policy, Scores
from tgframe.policies.head import check_head
from tgframe.policies.layout import check_length, prefill, sequence
from tgframe.policies.scoring import at_mask, score_tokens
from tgframe.policies.tokens import SpecialTokens, padded, texts_of, tokenize
from tgframe.runtime.decoding import Vocabulary, decode, positions_of


class DecoderPolicy(nn.Module, Policy):
    """A policy over a decoder-only model; what follows the last hidden states is the subclass's.

    Banned tokens and limits only shape what is *drawn*: scores are of the full vocabulary at temperature 1.
    """

    def __init__(self, model: Any, tokenizer: Any, runtime: Runtime, name: str) -> None:
        super().__init__()
        if len(tokenizer) > model.get_input_embeddings().num_embeddings:
            raise ModelError(
                f"The tokenizer of {name!r} knows {len(tokenizer)} tokens, but the model only "
                f"{model.get_input_embeddings().num_embeddings}. Use a tokenizer and model that were saved together."
            )
        check_head(model, name)
        self.tokenizer = tokenizer
        self.name = name
        """The model's name in the recipe, for errors."""
        self.decoding = Decoding()
        self.version = 0
        self.hidden_size = int(model.config.hidden_size)
        self.special = SpecialTokens.of(tokenizer, name)
        self._runtime = runtime

    @property
    @abstractmethod
    def language_model(self) -> Any:
        """The ``transformers`` model inside."""

    @abstractmethod
    def _logits(self, states: Tensor) -> Tensor:
        """Return logits ``[...,V]`` for the model's last hidden states ``[...,D]``."""

    def _states(self, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, cache: Any = None) -> Tensor:
        """Return the model's last hidden states ``[N,L,D]`` of int64 ``[N,L]`` tokens."""
        model = self.language_model
        if mask is None and model.config.pad_token_id is not None:  # else transformers asks for a mask, in a warning
            past = 0 if cache is None else cache.get_seq_length()
            mask = torch.ones((len(tokens), past + tokens.shape[-1]), dtype=torch.bool, device=tokens.device)
        output = model.base_model(
            tokens, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=cache is not None
        )
        states: Tensor = output.last_hidden_state
        return states

    def sample(self, prompts: Prompts, k: int, draw: Draw, limits: Limits, generator: torch.Generator) -> Rollouts:
        """Write ``k`` completions for each prompt (see :meth:`tgframe.interfaces.policy.Policy.sample`)."""
        self._check_length(prompts, self.decoding.prefix, limits.max_new_tokens)
        start = prefill(prompts, self.decoding.prefix, self.special.start, self._runtime.device)
        vocabulary = Vocabulary(self._vocabulary_size, self.special.end, self.special.pad, self.decoding.banned)
        cache = DynamicCache(config=self.language_model.config)
        with evaluating(self), self._runtime.autocast():
            drawn = decode(self._next_logits, cache, start, k, draw, limits, vocabulary, generator)
        shape = (len(prompts), k, drawn.tokens.shape[-1])
        tokens, mask, logprobs = (part.reshape(shape) for part in (drawn.tokens, drawn.mask, drawn.logprobs))
        texts = texts_of(self.tokenizer, tokens, mask)
        return Rollouts(prompts, tokens, mask, texts, sample_logprobs=logprobs, version=self.version)

    def _next_logits(self, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, cache: Any) -> Tensor:
        return self._logits(self._states(tokens, mask, positions, cache)[:, -1]).float()

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        """Score completions in one pass (see :meth:`tgframe.interfaces.policy.Policy.score`).

        The prompt is read once a completion, not once a prompt. Only real tokens go through the output head.
        """
        prefix = self.decoding.prefix if prefix is None else prefix
        shape = tuple(rollouts.tokens.shape)
        self._check_length(rollouts.prompts, prefix, shape[-1])
        device = self._runtime.device
        start = prefill(rollouts.prompts, prefix, self.special.start, device)
        mask = rollouts.mask.to(device)
        real = mask.flatten().nonzero().squeeze(-1)
        with self._runtime.autocast():
            # Position C-1+t holds the state before completion token t.
            states = self._states(*sequence(start, rollouts))[:, start.tokens.shape[-1] - 1 :][:, : shape[-1]]
            logprobs, entropy = score_tokens(
                self._logits,
                states.flatten(0, 1).index_select(0, real),
                rollouts.tokens.to(device).flatten().index_select(0, real),
                self._vocabulary_size,
                "entropy" in want,
            )
        hidden = states.reshape(*shape, -1).masked_fill(~mask.unsqueeze(-1), 0.0) if "hidden" in want else None
        return Scores(
            logprobs=at_mask(logprobs, real, shape),
            entropy=None if entropy is None else at_mask(entropy, real, shape),
            hidden=hidden,
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return logits float32 ``[N,L,V]`` for int64 tokens and bool mask ``[N,L]``; no start token is added."""
        device = self._runtime.device
        tokens, mask = tokens.to(device), mask.to(device)
        with self._runtime.autocast():
            return self._logits(self._states(tokens, mask, positions_of(mask))).float()

    def encode(
        self,
        texts: Sequence[str],
        ids: Sequence[str],
        *,
        split: str = "train",
        columns: Mapping[str, Sequence[Any]] | None = None,
        max_tokens: int | None = None,
    ) -> Prompts:
        """Tokenize prompt texts, without special tokens (see :meth:`tgframe.interfaces.policy.Policy.encode`)."""
        rows = [row[:max_tokens] for row in tokenize(self.tokenizer, texts)]
        tokens, mask = padded(rows, self.special.pad, "left")
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
        whole = [row + ending for row in tokenize(self.tokenizer, [text for group in texts for text in group])]
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
    def _vocabulary_size(self) -> int:
        return int(self.language_model.get_output_embeddings().weight.shape[0])

    def _check_length(self, prompts: Prompts, prefix: tuple[int, ...], new_tokens: int) -> None:
        positions = getattr(self.language_model.config, "max_position_embeddings", None)
        check_length(prompts, prefix, new_tokens, positions, self.name)

    def _shared(self) -> list[Any]:
        """What a copy of the policy has in common with it."""
        return [self._runtime, self.tokenizer]

    def __deepcopy__(self, memo: dict[int, Any]) -> DecoderPolicy:
        memo.update({id(part): part for part in self._shared()})
        twin: DecoderPolicy = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` in evaluation mode; put each submodule back as it was."""
    trained = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in trained:
            part.training = True
