"""Samplers for tests: one that repeats what it is given, one that draws truly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import torch

from tgframe.interfaces.policy import Limits
from tgframe.interfaces.sampler import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.policy import Policy


class PlainDraw:
    """Draws from the policy's own distribution: temperature 1, no truncation."""

    def __call__(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        logprobs = logits.log_softmax(-1)
        drawn = torch.multinomial(logprobs.exp(), 1, generator=generator)
        return drawn.squeeze(-1), logprobs.gather(-1, drawn).squeeze(-1)


@attrs.frozen
class EchoSampler(Sampler):
    """Returns given texts, the same for every prompt, over and over until there are ``k``."""

    texts: tuple[str, ...] = ("a longer echo", "an echo", "echo")
    """The completions."""

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        group = [self.texts[i % len(self.texts)] for i in range(k)]
        return policy.complete(prompts, [group] * len(prompts))


@attrs.frozen
class PlainSampler(Sampler):
    """True draws from the policy."""

    longest: int = 6
    """Tokens at most, the end token included."""

    def provides(self) -> frozenset[str]:
        return frozenset({"exact", "on-policy"})

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        drawn = policy.sample(prompts, k, PlainDraw(), Limits(self.longest), generator)
        return attrs.evolve(drawn, exact=not policy.decoding.banned)
