"""Messages to texts, and prompts that are too long."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tgframe import DataError
from tgframe.testing import make_tokenizer
from tgframe_preferences.chat import rendered
from tgframe_preferences.cutting import shortened
from tgframe_preferences.row import Row

USER = {"role": "user", "content": "Hi"}
REPLY = {"role": "assistant", "content": "Yes."}
ROLES = {"user": "\n\nHuman: ", "assistant": "\n\nAssistant: "}
TALK = Row((USER,), ((REPLY,), (REPLY, USER, REPLY)))
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def with_template(template: str) -> Any:
    tokenizer = copy.deepcopy(make_tokenizer())
    tokenizer.chat_template = template
    return tokenizer


def test_plain_texts_stay_as_they_are() -> None:
    assert rendered(Row("p", ("a", "")), make_tokenizer(), ROLES) == ("p", ("a", ""))


def test_named_roles() -> None:
    prompt, completions = rendered(TALK, make_tokenizer(), ROLES)
    assert prompt == "\n\nHuman: Hi\n\nAssistant:"
    assert completions == (" Yes.", " Yes.\n\nHuman: Hi\n\nAssistant: Yes.")


def test_chat_template() -> None:
    prompt, completions = rendered(TALK, with_template(TEMPLATE), None)
    assert prompt == "<user>Hi</><assistant>"
    assert completions == ("Yes.</>", "Yes.</><user>Hi</><assistant>Yes.</>")


@pytest.mark.parametrize(
    ("row", "tokenizer", "roles", "told"),
    [
        (TALK, make_tokenizer(), None, "has no chat template. Use a model that has one, or say how to write them"),
        (TALK, make_tokenizer(), {"assistant": "A:"}, "`task.roles` must name every role, but has no 'user'"),
        (TALK, make_tokenizer(), {"user": "U:"}, "has no 'assistant'"),
        (TALK, with_template("{{ messages | length }}"), None, "must write a reply behind its prompt"),
        (Row((USER,), ((USER,),)), make_tokenizer(), ROLES, "must begin with a message of the 'assistant'"),
    ],
)
def test_what_is_wrong_is_told(row: Row, tokenizer: Any, roles: Any, told: str) -> None:
    with pytest.raises(DataError) as raised:
        rendered(row, tokenizer, roles)
    assert told in str(raised.value)


@given(st.text(max_size=40), st.integers(1, 20))
def test_the_end_of_a_long_text_is_kept(text: str, limit: int) -> None:
    tokenizer = make_tokenizer()
    found = shortened(text, tokenizer, limit)
    assert text.endswith(found)
    assert len(tokenizer(found).input_ids) <= limit
    size = len(tokenizer(text).input_ids)
    if size <= limit:
        assert found == text
    elif text.isascii():
        assert len(found) == limit, "no more is cut than must be"


def test_no_limit_cuts_nothing() -> None:
    assert shortened("x" * 999, make_tokenizer(), None) == "x" * 999
