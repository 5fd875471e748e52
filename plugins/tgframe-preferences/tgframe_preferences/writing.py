"""What the policy writes to held-out prompts, and how far it has moved from the reference."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import attrs
import torch
from attrs.validators import ge

from tgframe import Evaluation, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from tgframe import Policy, Prompts, Rollouts


@attrs.frozen
class Writing:
    """Lets the policy write to prompts of the evaluated split."""

    prompts: int = attrs.field(default=32, validator=ge(1))
    """How many prompts, the same every time."""
    max_new_tokens: int = attrs.field(default=64, validator=ge(1))
    """Most tokens of what is written."""
    batch: int = attrs.field(default=16, validator=ge(1))
    """Prompts in one pass."""


def draw(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a token a row from float32 ``[N,V]`` logits, nothing cut off: what is written is the policy's own."""
    logprobs = logits.log_softmax(-1)
    level = torch.rand(len(logits), 1, generator=generator, dtype=torch.float64).to(logits.device)
    tokens = torch.searchsorted(logprobs.double().exp().cumsum(-1), level).clamp_max(logits.shape[-1] - 1)
    return tokens.squeeze(-1), logprobs.gather(-1, tokens).squeeze(-1)


@torch.no_grad()
def written(
    options: Writing, policy: Policy, reference: Policy | None, batches: Sequence[Prompts], generator: torch.Generator
) -> Evaluation:
    """Return what the policy writes as items, and its divergence from the reference as details.

    ``kl`` is the mean of ``log pi - log ref`` of whole completions, in nats; ``kl_per_token`` that of their tokens: an
    unbiased estimate, of texts cut to ``max_new_tokens``. Without a reference there is none.
    """
    items: list[dict[str, Any]] = []
    tokens = 0
    for prompts in batches:
        rollouts = policy.sample(prompts, 1, draw, Limits(options.max_new_tokens), generator)
        tokens += int(rollouts.mask.sum())
        ratios = _ratios(policy, reference, rollouts)
        for row, (key, (text,)) in enumerate(zip(prompts.ids, rollouts.texts, strict=True)):
            moved = {} if ratios is None else {"kl": round(ratios[row], 5)}
            items.append({"id": key, "prompt": prompts.texts[row], "written": text, **moved})
    if reference is None or not items:
        return Evaluation({}, items)
    nats = [item["kl"] for item in items]
    return Evaluation({}, items, {"kl": statistics.fmean(nats), "kl_per_token": sum(nats) / max(1, tokens)})


def _ratios(policy: Policy, reference: Policy | None, rollouts: Rollouts) -> list[float] | None:
    if reference is None:
        return None
    ratio = policy.score(rollouts).logprobs - reference.score(rollouts).logprobs
    found: list[float] = ratio.sum(-1).squeeze(-1).tolist()
    return found
