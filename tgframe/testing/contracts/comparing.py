"""Changes of rollouts that must not matter, and comparisons that say what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    """Return the same prompts with other tokens off the mask, ``extra`` padded positions more on the left, and their
    targets likewise."""
    head = (len(prompts), extra)
    return attrs.evolve(
        prompts,
        targets=None if prompts.targets is None else with_other_padding(prompts.targets, extra),
        tokens=torch.cat([torch.zeros(head, dtype=torch.int64), _fill(prompts.tokens, prompts.mask)], -1),
        mask=torch.cat([torch.zeros(head, dtype=torch.bool), prompts.mask], -1),
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
    return _difference_of_sources(found, expected)


def _difference_of_sources(found: Preferences, expected: Preferences) -> str:
    if found.sources.keys() != expected.sources.keys():
        return f"sources {sorted(expected.sources)} became {sorted(found.sources)}"
    changes = ((name, difference(source, expected.sources[name])) for name, source in found.sources.items())
    return next((f"in source {name!r} {change}" for name, change in changes if change), "")


def close(left: Tensor, right: Tensor) -> bool:
    """Whether two tensors are equal up to the rounding of another batch; wider tails of the last axis may only be 0."""
    if left.shape[:-1] != right.shape[:-1]:
        return False
    width = min(left.shape[-1], right.shape[-1])
    tails = left[..., width:].any() or right[..., width:].any()
    return not tails and torch.allclose(left[..., :width].float(), right[..., :width].float(), rtol=1e-4, atol=1e-5)


def row_of(judged: Preferences, b: int) -> Preferences:
    """Return the judgments of prompt ``b`` alone."""

    def one(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[b : b + 1]

    return attrs.evolve(
        judged,
        values=judged.values[b : b + 1],
        valid=judged.valid[b : b + 1],
        demonstration=one(judged.demonstration),
        features=one(judged.features),
        segment_values=one(judged.segment_values),
        sources={name: row_of(source, b) for name, source in judged.sources.items()},
    )


def widened(judged: Preferences, extra: int = 3) -> Preferences:
    """Return judgments that fit completions with ``extra`` padded positions more."""
    if judged.segment_values is None:
        return judged
    return attrs.evolve(judged, segment_values=torch.nn.functional.pad(judged.segment_values, (0, extra)))


def snapshot(value: Any) -> Any:
    """Return copies of all tensors of a container, and its other values as text: compare them with ``state.same``."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if attrs.has(type(value)):
        return {field.name: snapshot(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): snapshot(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [snapshot(item) for item in value]
    return repr(value)


def without_last(rollouts: Rollouts) -> Rollouts:
    """Return the same rollouts in which the last completion of every group is absent."""
    here = (torch.arange(rollouts.k) < rollouts.k - 1).unsqueeze(-1)
    logprobs = rollouts.sample_logprobs
    return attrs.evolve(
        rollouts,
        mask=rollouts.mask & here,
        texts=tuple((*group[:-1], "") for group in rollouts.texts),
        sample_logprobs=None if logprobs is None else logprobs * here,
    )


def _fill(tokens: Tensor, mask: Tensor) -> Tensor:
    """Replace tokens off the mask by small ids that every vocabulary has."""
    places = torch.arange(tokens.numel()).reshape(tokens.shape) % 2
    return torch.where(mask, tokens, places)
