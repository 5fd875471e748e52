"""The preference `function`: what a function is given, what it may return, and the functions of TRL."""

from __future__ import annotations

import asyncio
import math
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from tests.builtin.functions import (
    Counting,
    brevity,
    brevity_later,
    given,
    judge,
    judge_answer,
    named,
    ragged,
    source,
    takes_all,
    takes_some,
)
from tgframe import ComponentError, DataError, Preferences, Rollouts
from tgframe.builtin.preferences.function import Function
from tgframe.registry.manager import load_plugins
from tgframe.testing import PreferenceSourceContract, make_prompts, make_rollouts


class TestFunction(PreferenceSourceContract):
    def make(self) -> Function:
        return Function(named(brevity))

    def missing(self) -> Rollouts:
        return make_rollouts((("a b", "a", "unreadable"), ("a", "b c", "unreadable")))


class TestAsyncFunction(PreferenceSourceContract):
    def make(self) -> Function:
        return Function(named(brevity_later), kind="rank", timeout=30.0, on_error="missing")


class TestConversation(PreferenceSourceContract):
    def make(self) -> Function:
        return Function(named(Counting), factory={"unit": "letters"}, conversational=True, arguments={"sign": -1})


def test_a_function_is_given_flat_lists_without_absent_completions() -> None:
    found = judge(takes_all)
    assert given.pop("log_metric")
    assert given.pop("log_extra")
    assert given == {
        "prompts": ["one?", "one?", "two?"],  # not the column of that name
        "completions": ["a", "bc", "def"],
        "completion_ids": [[*b"a", 256], [*b"bc", 256], [*b"def", 256]],
        "solution": ["1", "1", "2"],
        "level": [5, 6, 7],  # of the completion, where prompt and completion have one
    }
    assert found.valid.tolist() == [[True, True], [True, False]]


def test_a_function_is_given_by_name_what_it_takes() -> None:
    found = judge(takes_some)
    assert given["solution"] == ["1", "1", "2"]
    assert found.values.tolist() == [[4.0, 6.0], [8.0, 0.0]]
    assert found.kind == "score"
    assert judge(takes_some, arguments={"weight": 0.5}, kind="label").values[1, 0] == 2.0
    judge(takes_some, arguments={"solution": "all"})
    assert given["solution"] == "all"


def test_nothing_is_asked_where_nothing_is_there() -> None:
    rollouts = ragged()
    given["completions"] = "as before"
    found = judge(takes_all, attrs.evolve(rollouts, mask=torch.zeros_like(rollouts.mask)))
    assert not found.valid.any()
    assert given["completions"] == "as before"


MESSAGES = [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one?"}], []]


def test_conversations_come_from_messages_or_from_texts() -> None:
    prompts = make_prompts(["one?", "two?"], columns={"messages": MESSAGES})
    rollouts = make_rollouts((("a", "b"), ("c", "d")), prompts)
    judge(takes_all, rollouts)
    assert given["prompts"] == [MESSAGES[0], MESSAGES[0], MESSAGES[1], MESSAGES[1]]
    assert given["completions"][1] == [{"role": "assistant", "content": "b"}]
    given["prompts"][0][0]["content"] = "changed"
    assert MESSAGES[0][0]["content"] == "Be brief."
    judge(takes_all, rollouts, conversational=False)
    assert given["prompts"] == ["one?", "one?", "two?", "two?"]
    judge(takes_all, conversational=True)
    assert given["prompts"][2] == [{"role": "user", "content": "two?"}]
    mistaken = make_rollouts((("a", "b"),), make_prompts(["one?"], columns={"messages": ["one?"]}))
    with pytest.raises(DataError, match=r"'messages' must hold lists of {role, content}, but is 'one\?'.*'prompt-0'"):
        judge(takes_all, mistaken)


@pytest.mark.parametrize(
    "returned",
    [
        [1, 0.0, None],
        (True, False, None),
        [torch.tensor(1.0), np.float32(0.0), None],
        np.array([1, 0, None]),
        [np.bool_(True), np.int64(0), None],
    ],
)
def test_what_counts_as_judgments(returned: Any) -> None:
    found = judge_answer(returned)
    assert found.values[0].tolist() == [1.0, 0.0]
    assert found.valid.tolist() == [[True, True], [False, False]]


def test_tensors_are_lists() -> None:
    assert judge_answer(torch.tensor([1.0, 2.0, 3.0], requires_grad=True)).values[1, 0] == 3.0


loops: list[Any] = []


async def remembers_its_loop(completions: list[str]) -> list[float]:
    loops.append(asyncio.get_running_loop())
    return [0.0] * len(completions)


async def judge_in_a_notebook(asked: Any) -> Preferences:
    return asked.judge(ragged())  # type: ignore[no-any-return]


def returns_an_awaitable(completions: list[str]) -> Any:
    return remembers_its_loop(completions)


def test_async_functions_run_in_one_loop_and_inside_a_running_one() -> None:
    loops.clear()
    asked = source(remembers_its_loop)
    assert asyncio.run(judge_in_a_notebook(asked)).valid[0].all()
    asked.judge(ragged())
    judge(returns_an_awaitable)
    assert loops[0] is loops[1]
    assert loops[2] is not loops[0]
    loop = loops[0]
    loops.clear()
    del asked
    for _ in range(200):
        if loop.is_closed():
            break
        time.sleep(0.01)
    assert loop.is_closed(), "the loop ends with its source"


def logs(completions: list[str], log_metric: Callable[..., None], log_extra: Callable[..., None]) -> list[float]:
    log_metric("words", float(len(completions)))
    log_metric("words", torch.tensor(5.0))
    log_metric("nothing", math.nan)
    log_extra("column", completions)
    return [0.0] * len(completions)


def test_logged_numbers_become_running_means() -> None:
    asked = source(logs)
    asked.judge(ragged())
    asked.judge(ragged().rows([1]))
    assert asked.monitors()["logged/words"] == (3 + 5 + 1 + 5) / 4
    assert "logged/nothing" not in asked.monitors()
    again = source(logs)
    again.load_state_dict(asked.state_dict())
    assert again.monitors() == asked.monitors()
    assert again.calls == asked.calls == 4


def test_the_manifest_names_what_runs() -> None:
    plugins = load_plugins(blocked=())
    found = plugins.provenance({"preference": Function(named(brevity))})["preference"]
    assert found["modules"].keys() == {brevity.__module__}
    assert found["modules"][brevity.__module__].startswith("sha256 ")
    assert plugins.provenance({"preference": Function("statistics:mean")})["preference"]["modules"] == {
        "statistics": f"Python {sys.version.split()[0]}"
    }
    torch_version = plugins.provenance(Function("torch.nn:Identity"))[""]["modules"]["torch.nn"]
    assert torch_version == f"torch {torch.__version__}"


# TRL's own functions, as they are.


@pytest.fixture
def trl_rewards() -> Any:
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("trl.rewards")


@pytest.mark.usefixtures("trl_rewards")
def test_trl_formats() -> None:
    rollouts = make_rollouts((("<think>I think.</think>So.", "So.", "<think>So."),))
    found = judge("trl.rewards:think_format_reward", rollouts, conversational=True)
    assert found.values.tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.usefixtures("trl_rewards")
def test_trl_lengths() -> None:
    texts = ["a" * length for length in (79, 89, 99, 100)]  # and an end token each
    found = judge(
        "trl.rewards:get_soft_overlong_punishment",
        make_rollouts((texts,)),
        factory={"max_completion_len": 100, "soft_punish_cache": 20},
    )
    assert found.values.tolist() == [[0.0, -0.5, -1.0, -1.0]]


@pytest.mark.usefixtures("trl_rewards")
def test_trl_repetitions() -> None:
    found = judge(
        "trl.rewards:get_repetition_penalty_reward", make_rollouts((("abc", "aaa"),)), factory={"ngram_size": 2}
    )
    torch.testing.assert_close(found.values, torch.tensor([[0.0, -1 / 3]]))
    with pytest.raises(ComponentError, match=r"returned _RepetitionPenalty instead.*`factory: {}` for none"):
        judge("trl.rewards:get_repetition_penalty_reward", make_rollouts((("abc", "aaa"),)))


@pytest.mark.usefixtures("trl_rewards")
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("accuracy_reward", {}, [1.0, 0.0]),
        ("reasoning_accuracy_reward", {"arguments": {"reasoning_delimiters": ["so"]}}, [1.0, 0.0]),
        ("get_cosine_scaled_reward", {"factory": {"max_len": 10_000_000}}, [1.0, -1.0]),
    ],
)
def test_trl_answers(name: str, options: dict[str, Any], expected: list[float]) -> None:
    prompts = make_prompts(["one third?"], columns={"solution": [r"\frac{1}{3}"]})
    rollouts = make_rollouts(((r"so \boxed{\frac{1}{3}}", r"so \boxed{\frac{1}{2}}"),), prompts)
    try:
        import math_verify  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="math_verify"):  # what TRL itself says
            judge(f"trl.rewards:{name}", rollouts, conversational=True, **options)
        pytest.skip("math_verify is not installed")
    found = judge(f"trl.rewards:{name}", rollouts, conversational=True, **options)
    torch.testing.assert_close(found.values, torch.tensor([expected]))
