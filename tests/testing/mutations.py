"""Mistakes that can be planted in any part of an interface, each with the law that it must break."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import attrs
import torch

from tgframe import Evaluation, Guidance, Policy, Preferences, Prompts, Rollouts, Scores, Splits, Step

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


@attrs.frozen
class Mutation:
    """A mistake: what is done to one method of a part."""

    name: str
    """``shuffled-k``, ``altered-padding`` or ``unseeded-noise``."""
    law: str
    """The law that must break, without ``test_``."""
    method: str
    """Method of the interface."""
    wrap: Wrapper
    """From the method to one that makes the mistake."""


def plant(part: Any, mutation: Mutation) -> Any:
    """Return the part with a mistake: a twin of a class that differs from the part's in one method."""
    right = type(part)
    wrong = {"__slots__": (), mutation.method: mutation.wrap(getattr(right, mutation.method))}
    twin = copy.copy(part)
    object.__setattr__(twin, "__class__", type(f"Planted{right.__name__}", (right,), wrong))
    return twin


def result(change: Callable[..., Any]) -> Wrapper:
    """Change what a method returns: ``change(found, its first argument)``."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, first, *rest, **named: change(method(self, first, *rest, **named), first)

    return wrap


def argument(change: Callable[[Any], Any]) -> Wrapper:
    """Change a method's first argument."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, first, *rest, **named: method(self, change(first), *rest, **named)

    return wrap


def turned(k: int) -> list[int]:
    """The order in which every completion gets what belongs to its neighbour."""
    return [k - 1, *range(k - 1)]


def strange(tokens: torch.Tensor, mask: torch.Tensor, usual: int) -> torch.Tensor:
    """Count the tokens off the mask that are not the usual padding: float ``[...]``."""
    return ((tokens != usual) & ~mask).sum(-1).float()


def shuffled_judgments(found: Preferences, rollouts: Rollouts) -> Preferences:
    return found.select(torch.tensor([turned(rollouts.k)] * len(rollouts.prompts)))


def judged_padding(found: Preferences, rollouts: Rollouts) -> Preferences:
    padding = strange(rollouts.tokens, rollouts.mask, -1) + rollouts.prompts.tokens.shape[-1]
    return attrs.evolve(found, values=found.values + padding)


def noisy_judgments(found: Preferences, _: Rollouts) -> Preferences:
    return attrs.evolve(found, values=found.values + random.random())


def shuffled_texts(found: Rollouts, _: Policy) -> Rollouts:
    return attrs.evolve(found, texts=tuple(tuple(group[k] for k in turned(found.k)) for group in found.texts))


def padded_left(found: Rollouts, _: Policy) -> Rollouts:
    tokens, mask = (torch.nn.functional.pad(part, (1, 0)) for part in (found.tokens, found.mask))
    logprobs = found.sample_logprobs
    moved = None if logprobs is None else torch.nn.functional.pad(logprobs, (1, 0))
    return attrs.evolve(found, tokens=tokens, mask=mask, sample_logprobs=moved)


def noisy_tokens(found: Rollouts, _: Any) -> Rollouts:
    tokens = found.tokens.clone()
    tokens[..., 0] = torch.tensor([[random.randrange(64) for _ in group] for group in found.texts])
    return attrs.evolve(found, tokens=tokens)


def shuffled_values(found: Guidance, _: Step) -> Guidance:
    return Guidance(found.values.roll(1, 1) * found.mask, found.mask)


def valued_padding(found: Guidance, step: Step) -> Guidance:
    return Guidance(found.values + 0.1 * step.rollouts.mask.shape[-1] * found.mask, found.mask)


def noisy_values(found: Guidance, _: Step) -> Guidance:
    return Guidance(found.values + random.random() * found.mask, found.mask)


def shuffled_step(step: Step) -> Step:
    """Give every completion the judgment of its neighbour, or its values where it has no judgment."""
    moved: dict[str, Any] = {}
    if "preferences" in step.filled:
        judged = step.preferences
        moved["preferences"] = shuffled_judgments(judged, step.rollouts)
    elif "guidance" in step.filled:
        moved["guidance"] = Guidance(step.guidance.values.roll(1, 1), step.guidance.mask.roll(1, 1))
    return step.with_fields(**moved)


def shuffled_scores(found: Scores, rollouts: Rollouts) -> Scores:
    return attrs.evolve(found, logprobs=found.logprobs.roll(1, 1) * rollouts.mask)


def scored_padding(method: Callable[..., Any]) -> Callable[..., Any]:
    def score(self: Policy, rollouts: Rollouts, *rest: Any, **named: Any) -> Scores:
        found: Scores = method(self, rollouts, *rest, **named)
        shift = strange(rollouts.tokens, rollouts.mask, self.tokenizer.pad_token_id).unsqueeze(-1)
        return attrs.evolve(found, logprobs=found.logprobs - 0.1 * shift * rollouts.mask)

    return score


def shuffled_ids(found: Prompts, _: Policy) -> Prompts:
    return attrs.evolve(found, ids=found.ids[-1:] + found.ids[:-1])


def padded_right(found: Prompts, _: Policy) -> Prompts:
    tokens, mask = (torch.nn.functional.pad(part, (0, 1)) for part in (found.tokens, found.mask))
    return attrs.evolve(found, tokens=tokens, mask=mask)


def noisy_scores(found: Evaluation, _: Policy) -> Evaluation:
    return attrs.evolve(found, scores={name: random.random() for name in found.scores})


def noisy_rows(found: Splits, _: Any) -> Splits:
    rows = {split: part.add_column("noise", [random.random()] * len(part)) for split, part in found.rows.items()}
    return attrs.evolve(found, rows=rows)


K, PADDING, NOISE = "shuffled-k", "altered-padding", "unseeded-noise"
ORDER, SAME_PADDING = "order_of_completions_changes_nothing", "padding_changes_nothing"

MUTATIONS: dict[str, tuple[Mutation, ...]] = {
    "preference": (
        Mutation(K, ORDER, "judge", result(shuffled_judgments)),
        Mutation(PADDING, SAME_PADDING, "judge", result(judged_padding)),
        Mutation(NOISE, "judges_the_same_twice", "judge", result(noisy_judgments)),
    ),
    "sampler": (
        Mutation(K, "texts_are_those_of_the_tokens", "sample", result(shuffled_texts)),
        Mutation(PADDING, "completions_are_padded_on_the_right", "sample", result(padded_left)),
        Mutation(NOISE, "draws_the_same_from_the_same_generator", "sample", result(noisy_tokens)),
    ),
    "guidance": (
        Mutation(K, ORDER, "values", result(shuffled_values)),
        Mutation(PADDING, SAME_PADDING, "values", result(valued_padding)),
        Mutation(NOISE, "values_the_same_twice", "values", result(noisy_values)),
    ),
    "aggregator": (
        Mutation(K, ORDER, "aggregate", result(lambda found, values: found.roll(1, 1))),
        Mutation(
            PADDING, "more_padding_changes_nothing", "aggregate", result(lambda found, values: found * values.shape[-1])
        ),
        Mutation(NOISE, "aggregates_the_same_twice", "aggregate", result(lambda found, _: found * random.random())),
    ),
    "objective": (
        Mutation(K, ORDER, "loss", argument(shuffled_step)),
        Mutation(
            PADDING,
            SAME_PADDING,
            "loss",
            result(lambda found, step: (found[0] * (1 + step.prompts.tokens.shape[-1]), found[1])),
        ),
        Mutation(
            NOISE,
            "loss_is_the_same_twice",
            "loss",
            result(lambda found, step: (found[0] * (1 + random.random()), found[1])),
        ),
    ),
    "policy": (
        Mutation(K, "sampling_and_scoring_agree", "score", result(shuffled_scores)),
        Mutation(PADDING, "padding_and_other_prompts_change_nothing", "score", scored_padding),
        Mutation(NOISE, "samples_the_same_from_the_same_generator", "sample", result(noisy_tokens)),
    ),
    # A task has no completions: its prompts are shuffled instead.
    "task": (
        Mutation(K, "drawn_prompts_are_rows_of_the_split", "prompts", result(shuffled_ids)),
        Mutation(PADDING, "prompts_are_padded_on_the_left", "prompts", result(padded_right)),
        Mutation(NOISE, "evaluates_the_same_from_the_same_generator", "evaluate", result(noisy_scores)),
    ),
    "data": (Mutation(NOISE, "reads_the_same_twice", "load", result(noisy_rows)),),
    "model": (),
}
"""Kind to what can go wrong with every part of that kind."""
