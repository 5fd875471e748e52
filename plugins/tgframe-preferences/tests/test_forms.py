"""Every column set, and what is told about rows that are not as they must be."""

from __future__ import annotations

from typing import Any

import pytest

from tgframe import DataError
from tgframe_preferences.cells import Cells
from tgframe_preferences.forms import FORMS, common_prompt, form_of, read
from tgframe_preferences.row import Row

HUMAN = "\n\nHuman: Hi\n\nAssistant:"
TURNS = ("\n\nAssistant:",)
USER = {"role": "user", "content": "Hi"}


def reply(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def row(**values: Any) -> Row:
    return read(form_of(values.keys(), "'rows.jsonl'"), Cells("row 3 of 'rows.jsonl'", values), TURNS)


def test_a_group_of_any_size() -> None:
    found = row(prompt="p", completions=["a", "b", "c"], ranks=[0, 4, None], topic="x")
    assert (found.prompt, found.completions, found.ranks) == ("p", ("a", "b", "c"), (0, 4, None))
    assert found.worth == (0.0, -4.0, None)
    assert found.extra == {"topic": "x"}
    assert found.judgments == {"ranks": (0, 4, None)}


def test_judgments_of_a_group() -> None:
    found = row(prompt="p", completions=["a", "b"], scores=[1, None], labels=[True, 0.5], demonstrations=[True, False])
    assert (found.scores, found.labels, found.demonstrations) == ((1.0, None), (1.0, 0.5), (True, False))
    assert found.worth == found.scores
    assert row(prompt="p", completions=["a"], labels=[False]).worth == (0.0,)
    assert row(prompt="p", completions=["a", "b"]).worth is None


@pytest.mark.parametrize("prompt", [{"prompt": "p"}, {}])
def test_a_pair(prompt: dict[str, str]) -> None:
    begin = "" if prompt else HUMAN
    found = row(**prompt, chosen=f"{begin} yes", rejected=f"{begin} no")
    assert found.completions == (" yes", " no")
    assert found.prompt == (prompt.get("prompt") or HUMAN)
    assert (found.ranks, found.labels, found.demonstrations) == ((0, 1), (1.0, 0.0), (True, False))


@pytest.mark.parametrize(("label", "number"), [(True, 1.0), (False, 0.0), (0.3, 0.3), (2, 2.0), (None, None)])
def test_a_completion_with_its_label(label: Any, number: float | None) -> None:
    found = row(prompt="p", completion="c", label=label, demonstration=True)
    assert found.judgments == {"labels": (number,), "demonstrations": (True,)}


def test_a_completion_with_its_score_and_one_with_nothing() -> None:
    assert row(prompt="p", completion="c", score=-2).judgments == {"scores": (-2.0,)}
    assert row(prompt="p", completion="c").judgments == {"demonstrations": (True,)}


def test_conversations() -> None:
    found = row(prompt=[USER], chosen=[reply("yes")], rejected=[reply("no")])
    assert (found.prompt, found.completions) == ((USER,), ((reply("yes"),), (reply("no"),)))
    implicit = row(chosen=[USER, reply("yes")], rejected=[USER, reply("no")])
    assert attrs_equal(implicit, found)
    same = row(chosen=[USER, reply("yes")], rejected=[USER, reply("yes")])
    assert same.completions == ((reply("yes"),), (reply("yes"),)), "the last message is never the prompt's"


def attrs_equal(one: Row, other: Row) -> bool:
    return (one.prompt, one.completions, one.judgments) == (other.prompt, other.completions, other.judgments)


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        (f"{HUMAN} No, no.", f"{HUMAN} No.", HUMAN),
        (f"{HUMAN} A{HUMAN} B", f"{HUMAN} A{HUMAN} C", f"{HUMAN} A{HUMAN}"),
        (f"{HUMAN} A{HUMAN} B", f"{HUMAN} X", HUMAN),
        ("Is it so? Yes", "Is it so? Yesterday", "Is it so?"),
        ("Is it so? Yes", "Is it so? No", "Is it so?"),
        ("Is it so?\nYes", "Is it so?\nNo", "Is it so?"),
        ("one", "two", ""),
        ("one", "one two", "one"),
    ],
)
def test_where_an_implicit_prompt_ends(chosen: str, rejected: str, prompt: str) -> None:
    assert chosen[: common_prompt(chosen, rejected, TURNS)] == prompt
    assert rejected[: common_prompt(rejected, chosen, TURNS)] == prompt


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"prompt": "p", "completions": []},
            "Column 'completions' in row 3 of 'rows.jsonl' must be a list",
        ),
        ({"prompt": "p", "completions": "ab"}, "but is 'ab' instead"),
        ({"prompt": "p", "completions": ["a", 3]}, "must be a text, or a list of messages"),
        ({"prompt": None, "completions": ["a"]}, "Column 'prompt' in row 3 of 'rows.jsonl' must be a text"),
        ({"prompt": "p", "completions": ["a", "b"], "ranks": [0]}, "must be a list of 2, one for each completion"),
        ({"prompt": "p", "completions": ["a", "b"], "ranks": [0, -1]}, "whole numbers from 0 (the best), or null"),
        ({"prompt": "p", "completions": ["a"], "ranks": [0.5]}, "but is 0.5 instead"),
        ({"prompt": "p", "completions": ["a"], "ranks": [True]}, "but is True instead"),
        ({"prompt": "p", "completions": ["a"], "ranks": ["best"]}, "but is 'best' instead"),
        ({"prompt": "p", "completions": ["a"], "scores": ["1"]}, "must be a number, true, false or null, but is '1'"),
        ({"prompt": "p", "completions": ["a"], "scores": [float("nan")]}, "Write null where there is no judgment."),
        ({"prompt": "p", "completions": ["a"], "demonstrations": [1]}, "must hold true or false, but is 1"),
        ({"prompt": "p", "completion": "c", "label": "good"}, "Column 'label'"),
        ({"prompt": "p", "completion": "c", "label": 1, "demonstration": 1.0}, "must be true or false"),
        ({"prompt": [USER], "chosen": "yes", "rejected": "no"}, "must all be texts, or all be messages"),
        ({"prompt": [USER], "completions": [[{"role": "user"}]]}, "'role' and 'content' are texts"),
        ({"chosen": [USER, reply("a")], "rejected": "no"}, "must both be texts, or both be messages"),
        ({"question": "p", "answer": "a"}, "but they are 'question', 'answer' instead"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(values: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as raised:
        row(**values)
    assert told in str(raised.value)
    assert "rows.jsonl" in str(raised.value)


def test_a_long_value_is_told_in_short() -> None:
    with pytest.raises(DataError) as raised:
        row(prompt="p", completions="x" * 1000)
    assert len(str(raised.value)) < 300


def test_every_form_is_found_by_its_columns() -> None:
    for form in FORMS:
        assert form_of(form.required, "here") is form


def test_ids_follow_from_content_alone() -> None:
    one, other = row(prompt="p", completions=["a", "b"]), row(prompt="p", completions=["a", "b"], topic="x")
    assert one.key == other.key
    assert one.key != row(prompt="p", completions=["b", "a"]).key
    assert one.prompt_key == row(prompt="p", completion="z").prompt_key
