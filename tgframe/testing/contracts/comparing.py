"""Changes of rollouts that must not matter, and comparisons that say what differs."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from tgframe.interfaces.batch import Preferences, Prompts, Rollouts


def permutations(k: int) -> list[list[int]]:
    """Return orders of ``k`` that no fixed shuffle commutes with: a swap, a turn, and the reverse."""
    return [[1, 0, *range(2, k)], [*range(1, k), 0], [*reversed(range(k))]]


def permute(rollouts: Rollouts, order: Sequence[int]) -> Rollouts:
    """Return every group in the given order."""
    return rollouts.select(torch.tensor([list(order)] * len(rollouts.prompts)))


def with_other_padding(rollouts: Rollouts, extra: int = 3) -> Rollouts:
    """Return the same rollouts with other tokens off the mask and ``extra`` padded positions more, prompts too."""
    prompts = with_other_prompt_padding(rollouts.prompts, extra)
    tail = (*rollouts.mask.shape[:2], extra)
    logprobs = rollouts.sample_logprobs
    return attrs.evolve(
        rollouts,
        prompts=prompts,
        tokens=torch.cat([_fill(rollouts.tokens, rollouts.mask), torch.zeros(tail, dtype=torch.int64)], -1),
        mask=torch.cat([rollouts.mask, torch.zeros(tail, dtype=torch.bool)], -1),
        sample_logprobs=None if logprobs is None else torch.cat([logprobs, torch.zeros(tail)], -1),
    )


def with_other_prompt_padding(prompts: Prompts, extra: int = 3) -> Prompts:
    """Return the same prompts with other tokens off the mask, and ``extra`` padded positions more on the left."""
    head = (len(prompts), extra)
    return attrs.evolve(
        prompts,
        tokens=torch.cat([torch.zeros(head, dtype=torch.int64), _fill(prompts.tokens, prompts.mask)], -1),
        mask=torch.cat([torch.zeros(head, dtype=torch.bool), prompts.mask], -1),
    )


def row(rollouts: Rollouts, b: int) -> Rollouts:
    """Return the group of prompt ``b`` alone, as wide as it was."""
    logprobs = rollouts.sample_logprobs
    return attrs.evolve(
        rollouts,
        prompts=prompt_row(rollouts.prompts, b),
        tokens=rollouts.tokens[b : b + 1],
        mask=rollouts.mask[b : b + 1],
        texts=rollouts.texts[b : b + 1],
        columns={name: column[b : b + 1] for name, column in rollouts.columns.items()},
        sample_logprobs=None if logprobs is None else logprobs[b : b + 1],
    )


def prompt_row(prompts: Prompts, b: int) -> Prompts:
    """Return prompt ``b`` alone, with its targets."""
    return attrs.evolve(
        prompts,
        ids=prompts.ids[b : b + 1],
        texts=prompts.texts[b : b + 1],
        tokens=prompts.tokens[b : b + 1],
        mask=prompts.mask[b : b + 1],
        columns={name: column[b : b + 1] for name, column in prompts.columns.items()},
        targets=None if prompts.targets is None else row(prompts.targets, b),
    )


def difference(found: Preferences, expected: Preferences) -> str:
    """Return what differs between judgments, or an empty string; values are compared where a judgment is there."""
    if found.kind != expected.kind:
        return f"kind {expected.kind!r} became {found.kind!r}"
    if not torch.equal(found.valid, expected.valid):
        return f"other judgments are missing: valid {expected.valid.tolist()} became {found.valid.tolist()}"
    for name in ("values", "demonstration", "features", "segment_values"):
        new, old = getattr(found, name), getattr(expected, name)
        if (new is None) != (old is None):
            return f"`{name}` is there in one case only"
        if new is not None and not close(new[found.valid], old[found.valid]):
            return f"`{name}` {old[found.valid].tolist()} became {new[found.valid].tolist()}"
    return ""


def close(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors are equal up to the rounding of another batch; wider tails of the last axis may only be 0."""
    if left.shape[:-1] != right.shape[:-1]:
        return False
    width = min(left.shape[-1], right.shape[-1])
    tails = left[..., width:].any() or right[..., width:].any()
    return not tails and torch.allclose(left[..., :width].float(), right[..., :width].float(), rtol=1e-4, atol=1e-5)


def _fill(tokens: Tensor, mask: Tensor) -> Tensor:
    """Replace tokens off the mask by small ids that every vocabulary has."""
    places = torch.arange(tokens.numel()).reshape(tokens.shape) % 2
    return torch.where(mask, tokens, places)
