"""On how many rows the best prompts of each search are reported: more or fewer than means over many prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tgframe import Context, Limits
from tgframe.testing import PlainDraw, TabularPolicy
from tgframe_prompts import protocol
from tgframe_prompts.preference import ClassificationGap

SEARCHES = ("top3", "random_search", "greedy_search")
CHOSEN = ("no_prompt", *SEARCHES)


class Drawn:
    """A sampler of prompts of four tokens."""

    def sample(self, policy: Any, prompts: Any, k: int, generator: torch.Generator) -> Any:
        return policy.sample(prompts, k, PlainDraw(), Limits(4, 4), generator)


@pytest.fixture
def systems(build: Callable[..., Any], context: Context) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Return a function that builds a task and returns it with what it says of every system."""

    def run(**options: Any) -> tuple[Any, dict[str, Any]]:
        sizes = {"policy_prompts": 5, "random_prompts": 3, "finalists": 4, "greedy_search": True}
        task = build(**{**sizes, **options})
        ClassificationGap().build(context)
        policy, generator = TabularPolicy(), torch.Generator().manual_seed(1)
        policy.decoding = task.decoding(policy)
        after = task.evaluate(policy, Drawn(), "test", generator)
        return task, {"after": after, **dict(protocol.systems(task, policy, Drawn(), "test", generator))}

    return run


def one_by_one(task: Any, prompt: str) -> float:
    """Return the accuracy of a prompt over all rows of test: each text joined, tokenised and classified alone."""
    classifier, split = task.scorer.classifier, task.splits["test"]
    right = 0
    for text, label in zip(split.texts, split.labels.tolist(), strict=True):
        ids = torch.tensor([classifier.tokenizer(f"{text}{prompt}{classifier.tokenizer.mask_token}")["input_ids"]])
        place = ids[0].tolist().index(classifier.tokenizer.mask_token_id)
        right += int(classifier.logits(ids, None, torch.tensor([place])).argmax()) == label
    return right / len(split)


def plain(found: dict[str, Any]) -> dict[str, Any]:
    return {name: (dict(each.scores), list(each.items), dict(each.details)) for name, each in found.items()}


def test_all_rows_give_the_plain_mean_over_them(systems: Callable[..., Any]) -> None:
    task, found = systems(test_rows=3, best_rows=None)
    for name in SEARCHES:
        prompts = [each["prompt"] for each in found[name].details["prompts"]]
        expected = [one_by_one(task, prompt) for prompt in prompts]
        assert len(expected) == 3
        assert [each["accuracy"] for each in found[name].details["prompts"]] == pytest.approx(expected)
        assert found[name].scores["accuracy"] == pytest.approx(sum(expected) / 3)
    assert found["no_prompt"].scores["accuracy"] == pytest.approx(one_by_one(task, ""))


@pytest.mark.parametrize(("best", "rows"), [(6, 6), (2, 2), (None, 9), (1000, 9)])
def test_every_number_says_on_how_many_rows_it_stands(systems: Callable[..., Any], best: int | None, rows: int) -> None:
    _, found = systems(test_rows=3, best_rows=best)
    for name, each in found.items():
        expected = rows if name in CHOSEN else 3
        assert each.details["texts"] == len(each.items) == expected
        assert sum(item["correct"] for item in each.items) / expected == pytest.approx(
            each.scores["accuracy"], abs=1e-4
        )


def test_by_default_nothing_changes(systems: Callable[..., Any]) -> None:
    _, found = systems(test_rows=6)
    _, said = systems(test_rows=6, best_rows=6)
    assert plain(found) == plain(said)
    assert {each.details["texts"] for each in found.values()} == {6}


def test_other_systems_do_not_change(systems: Callable[..., Any]) -> None:
    _, few = systems(test_rows=6)
    _, all_rows = systems(test_rows=6, best_rows=None)
    for name in ("after", "random_mean"):
        assert few[name].scores == all_rows[name].scores
        assert [item["correct"] for item in few[name].items] == [item["correct"] for item in all_rows[name].items]
    for name in SEARCHES:
        assert few[name].details["finalists"] == all_rows[name].details["finalists"]
        assert few[name].details["calls"] == all_rows[name].details["calls"]


def test_rows_that_were_scored_are_not_scored_again(build: Callable[..., Any]) -> None:
    task = build(test_rows=3, best_rows=None)
    task.measure_drawn([" sings"], "test")
    assert task.report.calls == 3
    task.measure([" sings"], "test")
    assert task.report.calls == 9
    task.measure_drawn([" sings"], "test")
    assert task.report.calls == 9


def test_items_of_one_number_are_one_text(systems: Callable[..., Any]) -> None:
    task, found = systems(test_rows=3, best_rows=None)
    labels = {item["item"]: item["label"] for item in found["no_prompt"].items}
    assert list(labels) == list(range(9))
    for each in found["after"].items:
        assert labels[each["item"]] == each["label"]
    assert [each["item"] for each in found["after"].items] == task.splits["test"].sample("test_rows").tolist()


def test_the_mean_over_uniform_prompts_can_be_left_out(systems: Callable[..., Any]) -> None:
    _, found = systems(random_prompts=0)
    assert list(found) == ["after", "no_prompt", *SEARCHES]
