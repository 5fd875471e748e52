"""Single-token edits of good completions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tgframe import Policy, Rollouts


class Alphabet:
    """The tokens that an edit may write: neither special nor banned."""

    def __init__(self, policy: Policy) -> None:
        tokenizer = policy.tokenizer
        allowed = torch.ones(len(tokenizer), dtype=torch.bool)
        unwanted = [token for token in {*policy.decoding.banned, *tokenizer.all_special_ids} if token < len(allowed)]
        allowed[unwanted] = False
        self.allowed = allowed
        self.tokens = allowed.nonzero().squeeze(-1)

    def drawn(self, rollouts: Rollouts, row: int) -> Tensor:
        """Return the allowed tokens, int64 ``[N]``, that completions of prompt ``row`` are made of, repeats kept."""
        tokens: Tensor = rollouts.tokens[row][rollouts.mask[row]].cpu()
        return tokens[self.allowed[tokens]]

    def editable(self, completion: Sequence[int]) -> list[int]:
        """Return the positions of a completion that hold an allowed token."""
        return [place for place, token in enumerate(completion) if bool(self.allowed[token])]


def edited(
    completions: Sequence[Sequence[int]],
    count: int,
    alphabet: Alphabet,
    drawn: Tensor,
    uniform: float,
    generator: torch.Generator,
) -> list[list[int]]:
    """Return ``count`` copies of random ``completions``, each with one token replaced.

    The new token comes with probability ``uniform`` from the whole alphabet, else from ``drawn``, the tokens that the
    policy has just written. Fewer than ``count``, down to none, come back when there is nothing to edit or to write.
    """
    places = [(completion, place) for completion in completions for place in alphabet.editable(completion)]
    if not places or not len(alphabet.tokens):
        return []
    which = torch.randint(len(places), (count,), generator=generator).tolist()
    everywhere = alphabet.tokens[torch.randint(len(alphabet.tokens), (count,), generator=generator)]
    news = everywhere
    if len(drawn):
        own = drawn[torch.randint(len(drawn), (count,), generator=generator)]
        news = torch.where(torch.rand(count, generator=generator) < uniform, everywhere, own)
    return [_replace(places[index], new) for index, new in zip(which, news.tolist(), strict=True)]


def _replace(spot: tuple[Sequence[int], int], new: int) -> list[int]:
    completion, place = spot
    return [*completion[:place], new, *completion[place + 1 :]]
