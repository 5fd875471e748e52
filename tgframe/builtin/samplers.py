"""Samplers that draw from the policy token by token: the whole distribution, its top, or its mode.

All draws invert the cumulative distribution at one uniform number a row (float64, so that rare tokens keep their
probability). That costs one pass over the candidates, and draws the same tokens on every device from one CPU generator.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import attrs
from attrs.validators import and_, ge, gt, le

from tgframe.interfaces.policy import Limits
from tgframe.interfaces.sampler import Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tgframe.interfaces.batch import Prompts, Rollouts
    from tgframe.interfaces.policy import Policy


@attrs.frozen
class WritingSampler(Sampler):
    """What samplers share that let the policy write: the length of completions."""

    max_new_tokens: int = attrs.field(validator=ge(1))
    """Most tokens in a completion; the end token counts."""
    min_new_tokens: int = attrs.field(default=0, validator=ge(0))
    """The end token cannot be drawn before this length. Equal to ``max_new_tokens``: fixed length, no end token."""

    def __attrs_post_init__(self) -> None:
        if self.min_new_tokens > self.max_new_tokens:
            raise ValueError(
                f"`min_new_tokens` must be <= `max_new_tokens` ({self.max_new_tokens}), "
                f"but is {self.min_new_tokens} instead."
            )

    def provides(self) -> frozenset[str]:
        return frozenset({"on-policy"})

    def limits(self) -> Limits:
        """Return the same as the policy takes it."""
        return Limits(self.max_new_tokens, self.min_new_tokens)


@attrs.frozen
class TokenSampler(WritingSampler):
    """What samplers share that draw token by token."""

    def provides(self) -> frozenset[str]:
        return frozenset({"on-policy", "exact"} if self._is_exact() else {"on-policy"})

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        """Return ``k`` completions for each of ``B`` prompts, drawn from the policy of the moment."""
        rollouts = policy.sample(prompts, k, self._draw, self.limits(), generator)
        return attrs.evolve(rollouts, exact=self._is_exact() and not policy.decoding.banned)

    def _is_exact(self) -> bool:
        """Whether the policy's own distribution is drawn from, nothing cut off and nothing forbidden."""
        return False

    @abstractmethod
    def _draw(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw a token a row (see :class:`tgframe.interfaces.policy.Draw`)."""


@attrs.frozen
class Sample(TokenSampler):
    """Draws from the whole distribution. At temperature 1 these are true draws of the policy."""

    temperature: float = attrs.field(default=1.0, validator=gt(0.0))
    """Divides the logits: below 1 sharpens, above 1 flattens."""

    def _is_exact(self) -> bool:
        return self.temperature == 1.0 and self.min_new_tokens == 0

    def _draw(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return _draw_from((logits / self.temperature).log_softmax(-1), generator)


@attrs.frozen
class TopK(TokenSampler):
    """Draws from the ``top_k`` likeliest tokens."""

    top_k: int = attrs.field(default=50, validator=ge(1))
    """How many tokens may be drawn. A vocabulary that is smaller is taken whole."""
    temperature: float = attrs.field(default=1.0, validator=gt(0.0))
    """Divides the logits: below 1 sharpens, above 1 flattens."""

    def _draw(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        best, tokens = logits.topk(min(self.top_k, logits.shape[-1]))
        place, logprobs = _draw_from((best / self.temperature).log_softmax(-1), generator)
        return tokens.gather(-1, place.unsqueeze(-1)).squeeze(-1), logprobs


@attrs.frozen
class TopP(TokenSampler):
    """Draws from the nucleus: the fewest likeliest tokens that together have at least probability ``top_p``."""

    top_p: float = attrs.field(default=0.9, validator=and_(gt(0.0), le(1.0)))
    """Probability of the nucleus; the temperature is applied first."""
    temperature: float = attrs.field(default=1.0, validator=gt(0.0))
    """Divides the logits: below 1 sharpens, above 1 flattens."""

    def _draw(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        logprobs, tokens = (logits / self.temperature).log_softmax(-1).sort(-1, descending=True)
        probabilities = logprobs.double().exp()
        cumulative = probabilities.cumsum(-1)
        before = cumulative - probabilities  # 0 for the likeliest token, which is always inside
        outside = before >= self.top_p * cumulative[:, -1:]
        nucleus = logprobs.masked_fill(outside, float("-inf")).log_softmax(-1)
        place, chosen = _draw_from(nucleus, generator)
        return tokens.gather(-1, place.unsqueeze(-1)).squeeze(-1), chosen


@attrs.frozen
class Greedy(TokenSampler):
    """Takes the likeliest token, always: the ``k`` completions of a prompt are equal, their log-probabilities 0."""

    def _draw(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        tokens = logits.argmax(-1)
        return tokens, logits.new_zeros(tokens.shape)


def _draw_from(logprobs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a place a row from log-probabilities ``[N,C]``; return the places and their log-probabilities, ``[N]``."""
    import torch

    cumulative = logprobs.exp().cumsum(-1, dtype=torch.double)
    total = cumulative[:, -1:]
    uniform = torch.rand((len(logprobs), 1), generator=generator, dtype=torch.double).to(logprobs.device)
    # Below the total by the last bit at least: what is found then has probability above 0.
    level = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    places = torch.searchsorted(cumulative, level, right=True)
    return places.squeeze(-1), logprobs.gather(-1, places).squeeze(-1)
