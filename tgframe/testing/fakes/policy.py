"""A policy whose whole mathematics is one table: quick, differentiable, and small enough to enumerate."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.policy import Decoding, Policy, Scores
from tgframe.testing.fakes.rollouts import pad
from tgframe.testing.fakes.tokenizer import make_tokenizer

if TYPE_CHECKING:
    from tgframe.interfaces.policy import Draw, Limits


class TabularPolicy(nn.Module, Policy):
    """The next token depends on the previous one alone: logits are a row of ``table`` ``[V,V]``.

    The first token follows the prefix, else the prompt's last token, else the start token. Without ``alphabet`` tokens
    are bytes and completions are mostly small letters; ``TabularPolicy("ab")`` has three tokens: a, b and the end.
    """

    def __init__(self, alphabet: str | None = None, seed: int = 0) -> None:
        super().__init__()
        self.tokenizer = make_tokenizer(alphabet)
        self.decoding = Decoding()
        self.version = 0
        size = len(self.tokenizer)
        logits = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
        if alphabet is None:
            usual = [*b"abcdefghijklmnopqrstuvwxyz ", self.end]
            logits -= 12.0
            logits[:, usual] += 12.0
        self.table = nn.Parameter(logits)
        self.hidden_size = size

    @property
    def end(self) -> int:
        """The end token: start and padding too."""
        return int(self.tokenizer.eos_token_id)

    @torch.no_grad()
    def sample(self, prompts: Prompts, k: int, draw: Draw, limits: Limits, generator: torch.Generator) -> Rollouts:
        previous = self._before(prompts, self.decoding.prefix).repeat_interleave(k)
        alive = torch.ones_like(previous, dtype=torch.bool)
        tokens, mask, logprobs = [], [], []
        for length in range(limits.max_new_tokens):
            may_end = length >= limits.min_new_tokens
            drawn, logprob = draw(self._allowed(previous, may_end), generator)
            tokens.append(drawn.where(alive, torch.tensor(self.end, device=drawn.device)))
            mask.append(alive)
            logprobs.append(logprob.masked_fill(~alive, 0.0))
            alive, previous = alive & (drawn != self.end), drawn
        parts = [torch.stack(part, -1).clone().reshape(len(prompts), k, -1) for part in (tokens, mask, logprobs)]
        return Rollouts(prompts, parts[0], parts[1], self._texts(parts[0]), {}, parts[2], False, self.version)

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        first = self._before(rollouts.prompts, self.decoding.prefix if prefix is None else prefix)
        first = first[:, None, None].expand(-1, rollouts.k, 1)
        hidden = self.table[torch.cat([first, rollouts.tokens], -1)[..., :-1]]
        logprobs = hidden.log_softmax(-1)
        entropy = -(logprobs.exp() * logprobs).sum(-1).masked_fill(~rollouts.mask, 0.0)
        chosen = logprobs.gather(-1, rollouts.tokens.unsqueeze(-1)).squeeze(-1).masked_fill(~rollouts.mask, 0.0)
        kept = hidden * rollouts.mask.unsqueeze(-1)
        return Scores(chosen, entropy if "entropy" in want else None, kept if "hidden" in want else None)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return self.table[tokens]

    def encode(
        self,
        texts: Sequence[str],
        ids: Sequence[str],
        *,
        split: str = "train",
        columns: Mapping[str, Sequence[Any]] | None = None,
        max_tokens: int | None = None,
    ) -> Prompts:
        tokens, mask = pad([self._ids(text)[:max_tokens] for text in texts], True, self.end)
        return Prompts(tuple(ids), tuple(texts), tokens, mask, split, dict(columns or {}))

    def complete(
        self, prompts: Prompts, texts: Sequence[Sequence[str]], *, max_tokens: int | None = None, end: bool = True
    ) -> Rollouts:
        rows = [[*self._ids(text), *[self.end] * end][:max_tokens] for group in texts for text in group]
        tokens, mask = (part.reshape(len(texts), -1, part.shape[-1]) for part in pad(rows, fill=self.end))
        return Rollouts(prompts, tokens, mask, tuple(map(tuple, texts)), version=self.version)

    def add_tokens(self, tokens: Sequence[str]) -> tuple[int, ...]:
        """Return the ids of control tokens; those that are new get the table's mean row and column."""
        if not set(tokens) <= self.tokenizer.get_vocab().keys():
            self.tokenizer = copy.deepcopy(self.tokenizer)
            self.tokenizer.add_tokens(list(tokens), special_tokens=True)
        more = len(self.tokenizer) - len(self.table)
        with torch.no_grad():
            wide = torch.cat([self.table, self.table.mean(1, keepdim=True).expand(-1, more)], 1)
            self.table = nn.Parameter(torch.cat([wide, wide.mean(0, keepdim=True).expand(more, -1)]))
        self.hidden_size = len(self.table)
        return tuple(self.tokenizer.convert_tokens_to_ids(list(tokens)))

    def save_pretrained(self, folder: Path) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"table": self.table.detach().contiguous()}, folder / "model.safetensors")
        self.tokenizer.save_pretrained(folder)

    def trainable(self) -> list[nn.Parameter]:
        return [self.table]

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _before(self, prompts: Prompts, prefix: tuple[int, ...]) -> Tensor:
        """The token ``[B]`` that the completion's first token follows."""
        end = torch.full((len(prompts),), prefix[-1] if prefix else self.end, device=prompts.tokens.device)
        if prefix or not prompts.tokens.shape[1]:
            return end
        return prompts.tokens[:, -1].where(prompts.mask[:, -1], end)

    def _allowed(self, previous: Tensor, may_end: bool) -> Tensor:
        logits = self.table[previous].float().clone()
        banned = set(self.decoding.banned) | (set() if may_end else {self.end})
        logits[:, sorted(banned)] = -torch.inf
        return logits

    def _texts(self, tokens: Tensor) -> tuple[tuple[str, ...], ...]:
        rows = [self.tokenizer.batch_decode(group, skip_special_tokens=True) for group in tokens]
        return tuple(map(tuple, rows))
