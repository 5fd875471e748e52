"""Whatever a preference source does wrong is told with its name, its distribution, and the prompts it was judging."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import pytest
import torch

from tests.engine.conftest import MakeRun
from tgframe import ComponentError, DataError, NumericError, Preferences, PreferenceSource, Rollouts, TgframeError
from tgframe.engine.guard import judged
from tgframe.testing import make_prompts, make_rollouts

LONG = "Once upon a time\nthere was a prompt so long that nobody read it to its end."
ROLLOUTS = make_rollouts((("a", "b"), ("c", "d"), ("e", "f")), make_prompts((LONG, "two?", "three?")))
PROMPTS = "prompt 'prompt-0' ('Once upon a time there was a prompt so long that nobody read…') and 2 more"
ORIGIN = {"kind": "preference", "name": "odd", "plugin": "odd", "distribution": "tgframe-odd", "version": "1.2"}


@attrs.frozen
class Odd(PreferenceSource):
    """Raises or returns what it is told to."""

    does: Any = None

    def judge(self, rollouts: Rollouts) -> Preferences:
        if isinstance(self.does, Exception):
            raise self.does
        return self.does  # type: ignore[no-any-return]


class OddError(DataError):
    """An error of a plugin's own that is not made of a message."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")


folders = itertools.count()


def guarded(make_run: MakeRun, does: Any, manifest: Any = None, rollouts: Rollouts = ROLLOUTS) -> Preferences:
    source = Odd(does)
    run = make_run(preference=source, folder=str(next(folders)))
    run.manifest = {"components": {"preference": ORIGIN}} if manifest is None else manifest
    return judged(run, source.judge, rollouts)


def test_errors_of_tgframe_are_one_message_of_their_class(make_run: MakeRun) -> None:
    with pytest.raises(DataError) as caught:
        guarded(make_run, DataError("no such row."))
    assert str(caught.value) == f"preference 'Odd' (tgframe-odd 1.2): no such row. It was judging {PROMPTS}."
    assert isinstance(caught.value.__cause__, DataError)


def test_errors_of_plugins_become_the_class_above(make_run: MakeRun) -> None:
    with pytest.raises(TgframeError, match="row 3: gone") as caught:
        guarded(make_run, OddError(3, "gone"))
    assert type(caught.value) is DataError


def test_other_errors_keep_class_and_traceback(make_run: MakeRun) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        guarded(make_run, ZeroDivisionError("by zero"))
    assert str(caught.value) == "by zero"
    assert caught.value.__notes__ == [f"preference 'Odd' (tgframe-odd 1.2) raised this, judging {PROMPTS}."]
    assert caught.traceback[-1].name == "judge"


def test_a_prompt_that_is_named_already_is_not_named_again(make_run: MakeRun) -> None:
    with pytest.raises(ComponentError) as caught:
        guarded(make_run, ComponentError("prompt 'prompt-1' is bad."))
    assert str(caught.value) == "preference 'Odd' (tgframe-odd 1.2): prompt 'prompt-1' is bad."


def test_without_a_manifest_the_name_is_what_is_known(make_run: MakeRun) -> None:
    one = ROLLOUTS.rows([1])
    with pytest.raises(DataError, match=r"^preference 'Odd': gone. It was judging prompt 'prompt-1' \('two\?'\)\.$"):
        guarded(make_run, DataError("gone."), {}, one)
    with pytest.raises(DataError, match="judging no prompt"):
        guarded(make_run, DataError("gone."), {}, ROLLOUTS.rows([]))


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("good", r"`judge` must return preferences of the shape \[3, 2\], but returned str instead"),
        ([[1.0, 2.0]] * 3, "but returned list instead"),
        (None, "but returned NoneType instead"),
        (torch.zeros(3, 2), "but returned Tensor instead"),
        (Preferences.from_scores([[1.0, 2.0]]), r"of the shape \[3, 2\], but returned \[1, 2\] instead"),
    ],
)
def test_what_is_no_preferences_is_told(make_run: MakeRun, returned: Any, told: str) -> None:
    with pytest.raises(ComponentError, match=rf"^preference 'Odd' \(tgframe-odd 1.2\): .*{told}.*prompt-0"):
        guarded(make_run, returned)


def test_numbers_that_are_none_name_the_step(make_run: MakeRun) -> None:
    with pytest.raises(ComponentError) as caught:
        Preferences(torch.full((3, 2), torch.nan), torch.ones(3, 2, dtype=torch.bool))
    for error in (caught.value, NumericError("overflow.")):
        with pytest.raises(
            NumericError, match=r"^At improvement step 0: preference 'Odd' \(tgframe-odd 1.2\): .*prompt-0"
        ):
            guarded(make_run, error)
    with pytest.raises(ComponentError, match=r"^preference 'Odd'"):
        guarded(make_run, ComponentError("The prompt tells of an infinite tale."))


def test_absent_completions_have_no_judgment_of_any_source(make_run: MakeRun) -> None:
    inner = Preferences.from_scores([[1.0, 2.0]])
    outer = attrs.evolve(inner, sources={"inner": attrs.evolve(inner, sources={"deep": inner})})
    rollouts = make_rollouts((("a", ""),))
    mask = rollouts.mask.clone()
    mask[0, 1] = False
    found = guarded(make_run, outer, rollouts=attrs.evolve(rollouts, mask=mask))
    inside = found.sources["inner"]
    for preferences in (found, inside, inside.sources["deep"]):
        assert preferences.valid.tolist() == [[True, False]]
