"""Functions that tests name in the preference `function`, and a way to ask them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs

from tgframe import Preferences, Rollouts
from tgframe.builtin.preferences.function import Function
from tgframe.testing import make_context, make_prompts, make_rollouts


def named(function: Callable[..., Any]) -> str:
    """Return a function as a recipe names it."""
    return f"{function.__module__}:{function.__qualname__}"


def brevity(completions: list[str], **others: Any) -> list[float | None]:
    return [None if text == "unreadable" else -float(len(text.split())) for text in completions]


def vowels(completions: list[str], **others: Any) -> list[float | None]:
    return [
        None if text == "unreadable" else float(sum(text.count(vowel) for vowel in "aeiou")) for text in completions
    ]


def letters(completions: list[str], **others: Any) -> list[float | None]:
    return [None if "b" in text or text == "unreadable" else float(len(text)) for text in completions]


async def brevity_later(completions: list[str]) -> list[float | None]:
    await asyncio.sleep(0)
    return brevity(completions)


class Counting:
    """A function that is made: the values are lengths of messages."""

    def __init__(self, unit: str) -> None:
        assert unit == "letters"

    def __call__(self, completions: list[list[dict[str, str]]], sign: int = 1) -> list[int]:
        assert all([message["role"] for message in completion] == ["assistant"] for completion in completions)
        return [sign * len(completion[0]["content"]) for completion in completions]


given: dict[str, Any] = {}
"""What the last call of a function below was given."""


def takes_all(**everything: Any) -> list[float]:
    given.clear()
    given.update(everything)
    return [0.0] * len(everything["completions"])


def takes_some(completion_ids: list[list[int]], solution: list[str], weight: float = 2.0) -> list[float]:
    given.clear()
    given.update(completion_ids=completion_ids, solution=solution, weight=weight)
    return [weight * len(ids) for ids in completion_ids]


def ragged() -> Rollouts:
    """Return groups of two and of one completion, with columns of prompts and of completions."""
    prompts = make_prompts(["one?", "two?"], columns={"solution": ["1", "2"], "level": [3, 4], "prompts": ["x", "y"]})
    rollouts = make_rollouts((("a", "bc"), ("def", "")), prompts, columns={"level": [[5, 6], [7, None]]})
    mask = rollouts.mask.clone()
    mask[1, 1] = False
    return attrs.evolve(rollouts, mask=mask)


answer: dict[str, Any] = {}
"""What the function below returns, or raises."""


def answers(completions: list[str]) -> Any:
    if isinstance(answer["value"], BaseException):
        raise answer["value"]
    return answer["value"]


def source(call: str | Callable[..., Any], **options: Any) -> Any:
    """Build the preference `function` that calls a function, or what a text names."""
    return Function(call if isinstance(call, str) else named(call), **options).build(make_context())


def judge(call: str | Callable[..., Any], rollouts: Rollouts | None = None, **options: Any) -> Preferences:
    """Judge, by default what :func:`ragged` returns."""
    return source(call, **options).judge(rollouts if rollouts is not None else ragged())  # type: ignore[no-any-return]


def judge_answer(value: Any, on_error: str = "stop") -> Preferences:
    """Judge by a function that returns or raises ``value``."""
    answer["value"] = value
    return judge(answers, on_error=on_error)
