"""Summaries as the policy writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch

if TYPE_CHECKING:
    from tgframe import Policy, Prompts, Sampler


@attrs.frozen
class Written:
    """One summary that a policy has written."""

    text: str
    tokens: int
    """The end token counts."""
    finished: bool
    """Whether it has an end token."""


@torch.no_grad()
def decoded(decoder: Sampler, policy: Policy, prompts: Prompts, generator: torch.Generator) -> dict[str, Written]:
    """Return one summary for each prompt, by id."""
    rollouts = decoder.sample(policy, prompts, 1, generator)
    end = policy.tokenizer.eos_token_id
    found = {}
    for row, key in enumerate(prompts.ids):
        tokens = rollouts.tokens[row, 0][rollouts.mask[row, 0]].tolist()
        found[key] = Written(rollouts.texts[row][0].strip(), len(tokens), end is not None and tokens[-1:] == [end])
    return found
