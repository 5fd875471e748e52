"""Presets fill what a recipe leaves out, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from tgframe import DataError
from tgframe_prompts.classifiers.options import CausalLM, Embedding, MaskedLM
from tgframe_prompts.presets import PRESETS, PresetName, filled
from tgframe_prompts.task import PromptClassification
from tgframe_prompts.template import parse

CLASSES = {
    "sst-2": 2,
    "yelp-2": 2,
    "agnews": 4,
    "mr": 2,
    "cr": 2,
    "sst-5": 5,
    "subj": 2,
    "trec": 6,
    "yahoo": 10,
    "dbpedia": 14,
}


def numbered(data: Callable[..., Any], names: tuple[str, ...]) -> Any:
    columns = {"sentence": [f"about {name}" for name in names], "label": [str(i) for i in range(len(names))]}
    return data(train=columns, dev=columns, test=columns)


@pytest.mark.parametrize("name", get_args(PresetName))
def test_every_class_of_a_preset_has_a_word_of_its_own(name: Any) -> None:
    preset = PRESETS[name]
    assert list(preset.verbalizers) == [str(label) for label in range(CLASSES[name])]
    assert len(set(preset.words)) == CLASSES[name]
    assert all(word.split() == [word.strip()] for word in preset.words)


@pytest.mark.parametrize("name", get_args(PresetName))
def test_words_have_a_space_where_the_template_writes_none(name: Any) -> None:
    """A mask after a space swallows it, so the word brings it; the first word of the input has none."""
    preset = PRESETS[name]
    first = parse(preset.template).before.until_mask("", "") == ""
    assert {word.startswith(" ") for word in preset.words} == {not first}


def test_a_preset_fills_what_is_left_out(data: Callable[..., Any]) -> None:
    found = filled(PromptClassification(data(), MaskedLM("m"), preset="sst-2"))
    assert found.verbalizers == {"0": " terrible", "1": " great"}
    assert found.template == "{text} {prompt} {mask} ."


def test_explicit_options_win(data: Callable[..., Any]) -> None:
    words = {"0": " bad", "1": " good"}
    found = filled(PromptClassification(data(), MaskedLM("m"), preset="agnews", verbalizers=words))
    assert (found.verbalizers, found.template) == (words, "{mask} {prompt} {text}")
    found = filled(PromptClassification(data(), MaskedLM("m"), preset="sst-2", template="{mask}{prompt}{text}"))
    assert (found.verbalizers, found.template) == ({"0": " terrible", "1": " great"}, "{mask}{prompt}{text}")


def test_without_a_preset_little_is_said(data: Callable[..., Any]) -> None:
    found = filled(PromptClassification(data(), MaskedLM("m")))
    assert (found.verbalizers, found.template) == (None, "{text}{prompt}{mask}")


@pytest.mark.parametrize("classifier", [CausalLM("m"), Embedding("m")])
def test_other_classifiers_have_the_mask_last(data: Callable[..., Any], classifier: Any) -> None:
    found = filled(PromptClassification(data(), classifier, preset="agnews"))
    assert found.template == "{text} {prompt}{mask}"


def test_the_task_is_built_with_the_preset(build: Callable[..., Any], data: Callable[..., Any], masked: str) -> None:
    task = build(numbered(data, ("one", "two")), classifier=Embedding(masked), preset="subj")
    assert task.provenance["verbalizers"] == {"0": " subjective", "1": " objective"}
    assert task.splits["train"].labels.tolist() == [0, 1]
    assert task.options.template == "{text} {prompt}{mask}"


def test_labels_that_are_not_numbers_are_refused(build: Callable[..., Any], masked: str) -> None:
    with pytest.raises(DataError, match=r"label 'cat', which has no verbaliser.*'0', '1'"):
        build(classifier=Embedding(masked), preset="mr")
