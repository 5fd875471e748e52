"""How decoder-only models read: prompt, prefix and completion are one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.policies.head import check_head
from tgframe.policies.layout import check_length, prefill, sequence
from tgframe.policies.reader import Reader, last_states
from tgframe.policies.tokens import SpecialTokens, tokenize
from tgframe.runtime.decoding import Past, Prefill, positions_of


class DecoderOnly(Reader):
    """Reads ``[start] prompt prefix completion``. In scoring, the prompt is read once a completion."""

    def __init__(self, model: Any, tokenizer: Any, name: str, compiled: bool) -> None:
        super().__init__(tokenizer, name, compiled)
        self.check_tokenizer(model.get_input_embeddings().num_embeddings)
        check_head(model, name)
        self.special = SpecialTokens.of(tokenizer, name)
        self.hidden_size = int(model.config.hidden_size)
        self._positions: int | None = getattr(model.config, "max_position_embeddings", None)

    def sources(self, texts: Sequence[str], max_tokens: int | None) -> list[list[int]]:
        """Return the ids of prompt texts, without special tokens."""
        return [row[:max_tokens] for row in tokenize(self.tokenizer, texts)]

    def targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of completion texts, without special tokens."""
        return tokenize(self.tokenizer, texts)

    def check_length(self, prompts: Prompts, prefix: tuple[int, ...], new_tokens: int) -> None:
        """Raise :class:`~tgframe.errors.ModelError` when a completion could outgrow the model's positions."""
        check_length(prompts, prefix, new_tokens, self._positions, self.name)

    def open(self, model: Any, prompts: Prompts, prefix: tuple[int, ...], device: torch.device) -> tuple[Prefill, Past]:
        """Return ``[start] prompt prefix`` and an empty cache."""
        return prefill(prompts, prefix, self.special.start, device), DynamicCache(config=model.config)

    def states(self, model: Any, tokens: Tensor, mask: Tensor | None, positions: Tensor | None, past: Any) -> Tensor:
        """Return the last hidden states ``[N,L,D]``; without a past where ``past`` is None."""
        if mask is None and model.config.pad_token_id is not None:  # else transformers asks for a mask, in a warning
            known = 0 if past is None else past.get_seq_length()
            mask = torch.ones((len(tokens), known + tokens.shape[-1]), dtype=torch.bool, device=tokens.device)
        run = self._scored if past is None else last_states
        return run(
            model.base_model,
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=past,
            use_cache=past is not None,
        )

    def states_before(self, model: Any, rollouts: Rollouts, prefix: tuple[int, ...], device: torch.device) -> Tensor:
        """Return the state before each completion token, ``[BK,T,D]``."""
        start = prefill(rollouts.prompts, prefix, self.special.start, device)
        states = self.states(model, *sequence(start, rollouts), None)
        return states[:, start.tokens.shape[-1] - 1 :][:, : rollouts.tokens.shape[-1]]

    def states_of(self, model: Any, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the last hidden states ``[N,L,D]`` of sequences; no start token is added."""
        return self.states(model, tokens, mask, positions_of(mask), None)

    def generation(
        self, prompts: Prompts, prefix: tuple[int, ...], device: torch.device
    ) -> tuple[dict[str, Tensor], int]:
        """Return the inputs of ``generate``, which gives them back before what is new."""
        start = prefill(prompts, prefix, self.special.start, device)
        mask = torch.ones_like(start.tokens, dtype=torch.bool) if start.mask is None else start.mask
        return {"input_ids": start.tokens, "attention_mask": mask}, start.tokens.shape[-1]
