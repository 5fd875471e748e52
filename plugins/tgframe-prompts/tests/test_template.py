from __future__ import annotations

import re

import pytest

from tgframe_prompts.template import parse


@pytest.mark.parametrize(
    ("template", "joined"),
    [
        ("{text}{prompt}{mask}", "A text. Prompt<m>"),
        ("{text} {prompt} {mask} .", "A text.  Prompt <m> ."),
        ("{mask} {prompt} {text}", "<m>  Prompt A text."),
        ("{{{text}}} {prompt}: {mask}", "{A text.}  Prompt: <m>"),
    ],
)
def test_spaces_are_kept_as_written(template: str, joined: str) -> None:
    assert parse(template).join("A text.", " Prompt", "<m>") == joined


def test_braces_in_texts_and_prompts_mean_nothing() -> None:
    assert parse("{text}{prompt}{mask}").join("{prompt}", "{mask} {0}", "<m>") == "{prompt}{mask} {0}<m>"


@pytest.mark.parametrize("template", ["{text}{prompt}", "{text}{mask}", "{prompt}{mask}", "{text}{text}{prompt}{mask}"])
def test_every_field_stands_once(template: str) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        parse(template)


@pytest.mark.parametrize("field", ["label", "text!r", "text:>9", ""])
def test_unknown_fields_are_named(field: str) -> None:
    with pytest.raises(ValueError, match=rf"contains \{{{re.escape(field)}\}}"):
        parse(f"{{text}}{{prompt}}{{mask}}{{{field}}}")
