"""Random and greedy search by themselves, on a task whose preference is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from tgframe.testing import TabularPolicy
from tgframe_prompts import protocol
from tgframe_prompts.equal_calls import EqualCalls
from tgframe_prompts.greedy_search import GreedySearch
from tgframe_prompts.random_search import RandomSearch
from tgframe_prompts.vocabulary import writable

TEXTS = 12


def make(task: Any, search: type[EqualCalls], seed: int = 0, letters: str | None = None) -> Any:
    tokenizer = (TabularPolicy(letters) if letters else TabularPolicy()).tokenizer
    return search(task, tokenizer, writable(tokenizer), torch.Generator().manual_seed(seed))


def spelled(prompt: str) -> float:
    """How many places of a prompt are right: a hill that one token at a time climbs."""
    return float(sum(found == wanted for found, wanted in zip(prompt, "hello", strict=True)))


class Heard(GreedySearch):
    """Remembers what was proposed, and replaces every score by one that is known."""

    rounds: list[list[str]]

    def learn(self, prompts: Sequence[str], scores: torch.Tensor) -> None:
        self.rounds = [*getattr(self, "rounds", []), list(prompts)]
        super().learn(prompts, torch.tensor([spelled(prompt) for prompt in prompts]))


@pytest.mark.parametrize("search", [RandomSearch, GreedySearch])
@pytest.mark.parametrize("calls", [0, 7, 12, 100, 1001])
@pytest.mark.parametrize(("share", "seen"), [(1.0, 12), (0.5, 6)])
def test_the_budget_is_spent_to_the_text(
    build: Callable[..., Any], search: Any, calls: int, share: float, seen: int
) -> None:
    task = build()
    task.share = share
    found = make(task, search)
    found.run(calls, 0)
    assert found.judge.calls == calls
    assert len(found.prompts) == len(set(found.prompts)) == calls // seen


@pytest.mark.parametrize("search", [RandomSearch, GreedySearch])
def test_finals_are_part_of_the_budget(build: Callable[..., Any], search: Any) -> None:
    task = build()
    found = make(task, search)
    found.run(1000, 4)
    protocol.finals(task, found.judge, found.prompts, 4)
    assert found.judge.calls == 1000


@pytest.mark.parametrize("search", [RandomSearch, GreedySearch])
def test_a_search_ends_when_there_are_no_more_prompts(build: Callable[..., Any], search: Any) -> None:
    task = build(prompt_length=1)
    found = make(task, search, letters="ab")
    found.run(10_000, 2)
    assert sorted(found.prompts) == ["a", "b"]
    assert len(protocol.finals(task, found.judge, found.prompts, 2).prompts) == 2


def test_greedy_search_never_loses_what_it_started_from(build: Callable[..., Any]) -> None:
    task = build()
    starts = make(task, GreedySearch)
    starts.run(4 * 30 * TEXTS, 0)
    begun = starts.prompts[:30]
    scores = task.preference(starts.judge, begun, "train")
    assert starts.score >= scores.max()
    assert starts.score == pytest.approx(task.preference(starts.judge, starts.prompts, "train").max().item())
    assert task.preference(starts.judge, [starts.best], "train").item() == pytest.approx(starts.score)


def test_greedy_search_changes_one_place_of_the_best_after_another(build: Callable[..., Any]) -> None:
    search = make(build(), Heard)
    search.run(60 * TEXTS, 0)
    starts, *rounds = search.rounds
    assert len(starts) == 15
    best = max(starts, key=spelled)
    for turn, edits in enumerate(rounds):
        place = turn % 5
        assert 0 < len(edits) <= 16
        for edit in edits:
            assert [i for i in range(5) if edit[i] != best[i]] == [place]
        best = max([best, *edits], key=spelled)
    assert search.best == best


def test_greedy_search_climbs(build: Callable[..., Any]) -> None:
    search = make(build(), Heard, letters="helo")
    search.run(120 * TEXTS, 0)
    assert search.best == "hello"


def test_greedy_search_repeats_under_a_seed(build: Callable[..., Any]) -> None:
    task = build()
    found = [make(task, GreedySearch, seed) for seed in (3, 3, 4)]
    for search in found:
        search.run(40 * TEXTS, 0)
    assert found[0].prompts == found[1].prompts != found[2].prompts
    assert found[0].best == found[1].best
