"""The preference `function`: everything that can go wrong, before a run and in it."""

from __future__ import annotations

import asyncio
import math
import textwrap
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.builtin.functions import (
    Counting,
    answer,
    answers,
    brevity,
    judge,
    judge_answer,
    named,
    ragged,
    source,
    takes_some,
)
from tgframe import ComponentError, RecipeError, TgframeWarning
from tgframe.builtin.preferences import calling
from tgframe.builtin.preferences.function import Function
from tgframe.interfaces.preference import PreferenceSource
from tgframe.recipe.converter import make_converter
from tgframe.recipe.load import load_recipe
from tgframe.recipe.refusal import Refused
from tgframe.registry.manager import load_plugins
from tgframe.testing import make_context, make_prompts, make_rollouts

HERE = brevity.__module__


WHOLE = [
    ("good", "must return a list of numbers, but returned str instead"),
    (None, "must return a list of numbers, but returned None instead"),
    (0.5, "but returned float instead"),
    (torch.tensor(1.0), "but returned Tensor instead"),
    (brevity, r"but returned function instead. If it makes the function that judges, .*`factory: {…}`"),
    ([1.0], "must return 3 numbers, one a completion, but returned 1 instead"),
    ([1.0] * 4, "but returned 4 instead"),
]
SINGLE = [
    (math.nan, "returned nan, but judgments must be finite. Return None where there is none"),
    (-math.inf, "returned -inf, but judgments must be finite"),
    (1e39, "must be finite"),
    (10**400, "must be finite"),
    ("1", "must return numbers or None, but returned '1' instead"),
    ({"score": 1}, "must return numbers or None, but returned {'score': 1}"),
    ([0.1, 0.2], "one number a completion, but returned list instead. A preference source judges whole completions"),
    (torch.tensor([1.0]), "one number a completion, but returned Tensor instead"),
]
ME = rf"function '{HERE}:answers' \(sha256 [0-9a-f]{{12}}\) "


@pytest.mark.parametrize(("returned", "told"), WHOLE)
def test_a_bad_list_stops_or_is_missing(returned: Any, told: str) -> None:
    with pytest.raises(ComponentError, match=rf"{ME}.*{told}.*3 completions, the first of prompt 'prompt-0' \('one"):
        judge_answer(returned)
    with pytest.warns(TgframeWarning, match=told):
        assert not judge_answer(returned, "missing").valid.any()


@pytest.mark.parametrize(("bad", "told"), SINGLE)
def test_a_bad_judgment_stops_or_is_missing_alone(bad: Any, told: str) -> None:
    with pytest.raises(ComponentError, match=rf"{ME}.*{told}.*prompt 'prompt-1' \('two\?'\)"):
        judge_answer([1.0, 2.0, bad])
    with pytest.warns(TgframeWarning, match=told):
        found = judge_answer([1.0, 2.0, bad], "missing")
    assert found.valid.tolist() == [[True, True], [False, False]]


def test_two_dimensions_are_values_of_tokens() -> None:
    with pytest.raises(ComponentError, match="judges whole completions"):
        judge_answer(torch.zeros(3, 7))


def test_what_a_function_raises_keeps_its_class() -> None:
    with pytest.raises(KeyError) as caught:
        judge_answer(KeyError("gold"))
    assert caught.traceback[-1].name == "answers"
    (note,) = caught.value.__notes__
    assert "raised this judging 3 completions, the first of prompt 'prompt-0' ('one?')." in note
    with pytest.warns(TgframeWarning, match="raised KeyError: 'gold'. The judgments are missing"):
        assert not judge_answer(KeyError("gold"), "missing").valid.any()


def test_failures_are_counted_and_told_once() -> None:
    asked = source(answers, on_error="missing")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for returned in (ValueError("no"), [1.0], [1.0, "x", "y"], [1.0, 2.0, None], [1.0, 2.0, 3.0]):
            answer["value"] = returned
            asked.judge(ragged())
    assert [warning.category for warning in caught] == [TgframeWarning]
    assert asked.monitors() == {"failures": 4, "timeouts": 0, "missing": 3 + 3 + 2 + 1}
    assert asked.calls == 15


release = threading.Event()


def waits(completions: list[str]) -> list[float]:
    release.wait(20)
    return [0.0] * len(completions)


cancelled = threading.Event()


async def waits_asynchronously(completions: list[str]) -> list[float]:
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        cancelled.set()
        raise
    return []


async def blocks_its_loop(completions: list[str]) -> list[float]:
    if not release.is_set():
        release.wait(20)
    return [0.0] * len(completions)


async def has_a_limit_of_its_own(completions: list[str]) -> list[float]:
    async with asyncio.timeout(0):
        await asyncio.sleep(20)
    return []


@pytest.mark.parametrize("call", [waits, waits_asynchronously, blocks_its_loop])
def test_late_calls_stop_or_are_missing(monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]) -> None:
    monkeypatch.setattr(calling, "GRACE", 0.05)
    release.clear()
    cancelled.clear()
    with pytest.raises(ComponentError, match=r"took more than 0.02 s for judging 3 completions.*`on_error: missing`"):
        judge(call, timeout=0.02)
    asked = source(call, timeout=0.02, on_error="missing")
    with pytest.warns(TgframeWarning, match="took more than 0.02 s"):
        assert not asked.judge(ragged()).valid.any()
    assert (asked.monitors()["timeouts"], asked.monitors()["missing"]) == (1, 3)
    assert cancelled.is_set() == (call is waits_asynchronously)
    release.set()
    asked.caller.seconds = 20.0
    if call is blocks_its_loop:
        assert asked.judge(ragged()).values[0].tolist() == [0.0, 0.0]  # in a loop that is not blocked


def test_a_limit_of_its_own_is_a_failure() -> None:
    with pytest.raises(TimeoutError):
        judge(has_a_limit_of_its_own, timeout=20.0)


def by_place(completions: list[str], /) -> list[float]:
    return []


def by_place_with_default(unread: int = 0, /, **others: Any) -> list[float]:
    return [0.0] * len(others["completions"])


def of_a_trainer(completions: list[str], trainer_state: Any) -> list[float]:
    return []


def makes_nothing() -> None:
    return None


def makes_trouble() -> None:
    raise RuntimeError("no model")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"call": named(by_place)}, "its parameter 'completions' must be given by place, but all is given by name"),
        ({"call": named(of_a_trainer)}, "its parameter 'trainer_state' must have a default: only TRL's trainer"),
        ({"call": "builtins:type"}, "nobody can tell which parameters <class 'type'> takes"),
        ({"call": named(makes_nothing), "factory": {}}, "`factory: {}` it must return a function, but returns None"),
        ({"call": named(makes_trouble), "factory": {}}, "with `factory: {}` it raises RuntimeError: no model"),
        ({"call": named(Counting), "factory": {"unit": "letters"}, "arguments": {"sing": 1}}, "no 'sing'. Did you"),
    ],
)
def test_what_cannot_be_called_is_told_when_it_is_built(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ComponentError) as caught:
        Function(**options).build(make_context())
    assert str(caught.value).startswith(f"Preference 'function' cannot call {options['call']!r}: ")
    assert told in str(caught.value)


def test_what_nobody_gives_is_told_with_what_there_is() -> None:
    rollouts = make_rollouts((("a", "b"),), make_prompts(["one?"], columns={"solutions": ["1"]}))
    with pytest.raises(ComponentError, match=r"needs 'solution', but is given 'solutions', 'pro.*mean 'solutions'"):
        judge(takes_some, rollouts, on_error="missing")
    assert judge(by_place_with_default).valid[0].all()


def refused(options: dict[str, Any]) -> list[str]:
    converter = make_converter(load_plugins(blocked=()))
    with pytest.raises(Refused) as caught:
        converter.structure({"type": "function", **options}, PreferenceSource)
    return [".".join(map(str, finding.path)) + finding.text for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"call": "a.b.c"}, "call must not be 'a.b.c': it must be written as module and name with a colon between them."
         " Write 'a.b:c'."),
        ({"call": "reward"}, "call must not be 'reward': it must be written as module and name with a colon between"
         " them. Write 'module:name'."),
        ({"call": "not.there:f"}, "call must not be 'not.there:f': there is no module 'not'. Install the package that"
         " holds it, or put its folder on PYTHONPATH."),
        ({"call": "tgframe.nothing:f"}, "call must not be 'tgframe.nothing:f': there is no module 'tgframe.nothing'."
         " Install the package that holds it, or put its folder on PYTHONPATH."),
        ({"call": f"{HERE}:brevty"}, f"call must not be '{HERE}:brevty': module '{HERE}' has no 'brevty'. Did you mean"
         " 'brevity'? Name one of its functions."),
        ({"call": f"{HERE}:Counting.unit"}, f"call must not be '{HERE}:Counting.unit': <class '{HERE}.Counting'> has no"
         " 'unit'. Name one of its functions."),
        ({"call": f"{HERE}:__name__"}, f"call must not be '{HERE}:__name__': '__name__' is a str, not a function."),
        ({"call": f"{HERE}:Counting", "factory": {"units": "x"}}, "factory must not be {'units': 'x'}:"
         f" '{HERE}:Counting' cannot be called so: missing a required argument: 'unit'."),
        ({"call": f"{HERE}:takes_some", "arguments": {"wieght": 1}}, "arguments must not be {'wieght': 1}: the function"
         " takes no 'wieght'. Did you mean 'weight'? It takes: completion_ids, solution, weight."),
        ({"call": f"{HERE}:brevity", "arguments": {"completions": 1}}, "arguments must not be {'completions': 1}:"
         " 'completions' comes with the completions. Leave it out."),
        ({"call": f"{HERE}:brevity", "timeout": 0.0}, "timeout must be > 0.0, but is 0.0 instead."),
        ({"call": f"{HERE}:brevity", "on_error": "zero"}, "on_error must be one of 'stop', 'missing', but is 'zero'"
         " instead."),
    ],
)  # fmt: skip
def test_mistakes_are_options_of_the_recipe(options: dict[str, Any], told: str) -> None:
    assert refused(options) == [told]


def test_a_module_that_cannot_be_imported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tgframe_test_needy.py").write_text("import not_installed_anywhere\n")
    (tmp_path / "tgframe_test_quitting.py").write_text("raise SystemExit('stop')\n")
    (tmp_path / "tgframe_test_lazy.py").write_text(
        textwrap.dedent("""
        def __getattr__(name):
            if name == "judge":
                raise ImportError("needs a package")
            raise AttributeError(name)
        """)
    )
    (told,) = refused({"call": "tgframe_test_needy:f"})
    assert "module 'tgframe_test_needy' cannot be imported: ModuleNotFoundError: No module named 'not_inst" in told
    (told,) = refused({"call": "tgframe_test_quitting:f"})
    assert "cannot be imported: SystemExit: stop. Mend it" in told
    (told,) = refused({"call": "tgframe_test_lazy:judge"})
    assert "'judge' of module 'tgframe_test_lazy' cannot be imported: ImportError: needs a package." in told


def test_a_recipe_is_told_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"preference:\n  type: function\n  call: {HERE}:brevty\n")
    with pytest.raises(RecipeError, match=r"recipe.yaml:3:9: `preference.call` must not be '.*brevty'.*'brevity'"):
        load_recipe(path, (), load_plugins(blocked=()))
