"""Ids must be those of the joined string, whatever meets at the seams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import ByT5Tokenizer

from tgframe import ModelError
from tgframe_prompts.inputs import Frame, Inputs, shorten, special_tokens
from tgframe_prompts.rows import make_rows
from tgframe_prompts.template import parse

TEMPLATES = ["{text}{prompt}{mask}", "{text} {prompt} {mask} .", "{mask} {prompt} {text}", "{prompt}: {text} {mask}!"]
KINDS = ["byte-level", "word-piece", "unigram", "wordless"]
PROMPTS = [
    "",
    "s",
    " sing",
    "ing the all",
    "  ",
    "é",
    "\u00a0☕",
    "'s",
    "naïve 北京",
    "<mask>",
    "a<mask> b",
    "...",
    " .",
]


def make_inputs(tokenizer: Any, template: str, texts: list[str], max_length: int = 1000, side: Any = "right") -> Inputs:
    frame = Frame(tokenizer, tokenizer.mask_token, *special_tokens(tokenizer), max_length)
    return Inputs(frame, parse(template), texts, side)


def expect_ids_of_the_joined_string(tokenizer: Any, template: str, texts: list[str], prompts: list[str]) -> None:
    inputs = make_inputs(tokenizer, template, texts)
    pairs = [(prompt, place) for prompt in prompts for place in range(len(texts))]
    found = inputs.join([prompt for prompt, _ in pairs], [place for _, place in pairs])
    for (prompt, place), each in zip(pairs, found, strict=True):
        joined = parse(template).join(texts[place], prompt, tokenizer.mask_token)
        assert each.ids == tokenizer(joined)["input_ids"], joined
        assert each.ids[each.position] == tokenizer.mask_token_id


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_ids_are_those_of_the_joined_string(tokenizers: Any, kind: str, sentences: list[str], template: str) -> None:
    expect_ids_of_the_joined_string(tokenizers[kind], template, [*sentences, "", " ", "one", "ends in space "], PROMPTS)


some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=40), prompt=st.text(max_size=12), template=st.sampled_from(TEMPLATES))
@some
def test_ids_of_any_text(tokenizers: Any, kind: str, text: str, prompt: str, template: str) -> None:
    expect_ids_of_the_joined_string(tokenizers[kind], template, [text], [prompt])


words = st.lists(st.sampled_from(["it", "sings", "'s", "n't", "12", "é", "☕", ".", "  ", "\n", "北京"]), max_size=8)


@pytest.mark.parametrize("kind", KINDS)
@given(text=words, prompt=words, template=st.sampled_from(TEMPLATES), glue=st.sampled_from(["", " "]))
@some
def test_ids_of_words(tokenizers: Any, kind: str, text: list[str], prompt: list[str], template: str, glue: str) -> None:
    expect_ids_of_the_joined_string(tokenizers[kind], template, [glue.join(text)], [glue.join(prompt)])


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_tokenised_once(tokenizers: Any, kind: str, sentences: list[str]) -> None:
    rows = make_rows(tokenizers[kind], parse("{text}{prompt}{mask}"), sentences)
    assert sum(bool(row.body) for row in rows) >= (0 if kind == "wordless" else len(rows) - 2)
    assert all(len(row.back) < 12 for row in rows if row.body)
    assert kind != "wordless" or not any(row.body for row in rows)


def test_the_mask_of_the_template_is_read_where_texts_spell_masks(tokenizer: Any) -> None:
    inputs = make_inputs(tokenizer, "{prompt} {mask} {text}", ["a <mask> b", "none"])
    first, second = inputs.join(["x<mask>", "y"], [0, 1])
    masks = [i for i, token in enumerate(first.ids) if token == tokenizer.mask_token_id]
    assert first.position == masks[1]
    assert len(masks) == 3
    assert second.ids[second.position] == tokenizer.mask_token_id


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_long_texts_are_cut_and_nothing_else(tokenizer: Any, template: str, side: Any) -> None:
    text = " ".join(f"word{i} é☕" for i in range(40))
    inputs = make_inputs(tokenizer, template, [text, "short"], max_length=32, side=side)
    long, short = inputs.join([" the prompt"] * 2, [0, 1])
    assert 24 < len(long.ids) <= 32
    assert long.ids[long.position] == tokenizer.mask_token_id
    kept = tokenizer.decode(long.ids)
    assert "the prompt" in kept
    assert ("word39" in kept) == (side == "left")
    assert ("word0 " in kept) == (side == "right")
    assert inputs.cut == {0}
    assert len(short.ids) < 32


def test_a_prompt_that_fills_the_model_is_refused(tokenizer: Any) -> None:
    inputs = make_inputs(tokenizer, "{text}{prompt}{mask}", ["a text"], max_length=8)
    with pytest.raises(ModelError, match="must leave room"):
        inputs.join(["far too long a prompt for this"], [0])


def test_nothing_to_read_is_refused(tokenizer: Any) -> None:
    bare = Inputs(Frame(tokenizer, "", (), (), 64), parse("{text}{prompt}{mask}"), ["a text", ""], "right")
    assert bare.join(["", "x"], [0, 1])[1].ids
    with pytest.raises(ModelError, match="The text '' with the prompt '' must give the classifier a token"):
        bare.join(["", ""], [0, 1])


def test_tokenizers_that_cannot_tell_places_cut_nothing() -> None:
    with pytest.raises(ModelError, match="ByT5Tokenizer must tell where its tokens stand"):
        shorten(ByT5Tokenizer(), "a text", 3, "right")


def test_masks_spelled_in_a_text_that_is_cut_are_not_read(tokenizer: Any) -> None:
    text = " ".join(["<mask> it sings"] * 20)
    for template in ("{text}{prompt} {mask}", "{mask} {prompt} {text}"):
        for side in ("left", "right"):
            (found,) = make_inputs(tokenizer, template, [text], max_length=24, side=side).join([" x"], [0])
            masks = [place for place, token in enumerate(found.ids) if token == tokenizer.mask_token_id]
            assert len(masks) > 1
            assert found.position == masks[0 if template.startswith("{mask}") else -1]
            assert len(found.ids) <= 24
