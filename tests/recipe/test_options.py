"""The options of a component as a person reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from tgframe.interfaces import schedule
from tgframe.interfaces.models import ModelName
from tgframe.recipe.explain import words
from tgframe.recipe.options import field_docs, options
from tgframe.recipe.schema import Recipe


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (int, "a whole number"),
        (float | None, "a number or null"),
        (None | float, "a number or null"),
        (bool, "true or false"),
        (str, "text"),
        (Path, "a file or folder"),
        (ModelName, "a model name"),
        (Any, "anything"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (Literal["a"], "'a'"),
        (tuple[int, ...], "a list of whole numbers"),
        (list[str], "a list of texts"),
        (tuple[float, float], "a list of 2 numbers"),
        (tuple[int, str], "a list of 2: a whole number, text"),
        (dict[str, list[int]], "a mapping from texts to (a list of whole numbers)"),
        (list, "a list"),
        (dict, "a mapping"),
        (schedule.Plateau, "a mapping"),
    ],
)
def test_types_in_words(kind, said):
    assert words(kind) == said


def test_options_of_a_component(plugins):
    found = {option.name: option for option in options(plugins.registries["task"].load("rows"))}
    assert (found["labels"].kind, found["labels"].default, found["labels"].doc) == (
        "a list of texts",
        "[]",
        "What the labels are called.",
    )
    assert found["targets"].default == "false"
    assert found["data"].kind == "a mapping with a `type` or null"
    assert found["split"].default == ""
    assert [name for name, _ in found["split"].choices] == [""]
    choices = dict(found["classifier"].choices)
    assert [option.name for option in options(choices["words"])] == ["limit"]
    assert "No module named 'not_there'" in choices["gone"]


def test_what_must_be_given_has_no_default(plugins):
    (steps, *_) = options(schedule.Schedule)
    assert (steps.name, steps.default) == ("steps", None)


def test_docs_of_inherited_fields():
    @attrs.frozen
    class More(schedule.Plateau):
        extra: int = 1
        """Something
        in two lines."""
        bare: int = 1

    docs = field_docs(More)
    assert docs["extra"] == "Something in two lines."
    assert docs["patience"] == "Validations without improvement that are waited for."
    assert "bare" not in docs


@pytest.mark.parametrize("section", [Recipe, *(value for value in vars(schedule).values() if attrs.has(value))])
def test_every_option_of_the_core_is_documented(section):
    assert all(option.doc for option in options(section)), section
