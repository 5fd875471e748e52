"""Docstrings come out of source whole, in order, and without their markup."""

from __future__ import annotations

import pytest

from tgframe_embedded.extract import docstrings, one_line, without_docstrings, words

SOURCE = '''"""Module line."""

def first(x):
    """Adds one.

    Parameters
    ----------
    x : int
        A :class:`~numbers.Number` such as ``3``.

    >>> first(1)
    2
    """
    return x + 1

class Second:
    """Holds
    things."""

    def silent(self):
        return "no docstring"
'''


def test_docstrings_in_order_of_lines() -> None:
    found = list(docstrings(SOURCE, "m.py"))
    assert [item.summary for item in found] == ["Module line.", "Adds one.", "Holds things."]
    assert [item.line for item in found] == [0, 3, 16]
    assert [item.name for item in found] == ["m", "first", "Second"]


def test_markup_and_rules_are_gone() -> None:
    body = next(item for item in docstrings(SOURCE, "m.py") if item.summary == "Adds one.").body
    assert body == "Parameters x : int A numbers.Number such as 3. >>> first(1) 2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sort_values", "sort values"),
        ("DataFrame", "data frame"),
        ("RNNTLoss", "rnnt loss"),
        ("_Conv2dBase", "conv2d base"),
        ("__init__", "init"),
        ("L1Loss", "l1 loss"),
        ("_", ""),
    ],
)
def test_names_are_split_into_words(name: str, expected: str) -> None:
    assert words(name) == expected


def test_prose_ends_before_the_first_doctest() -> None:
    found = next(item for item in docstrings(SOURCE, "m.py") if item.summary == "Adds one.")
    assert found.prose.endswith("such as 3.")


def test_source_that_does_not_parse_has_no_docstrings() -> None:
    assert list(docstrings('"""text"""\ndef broken(:\n', "m.py")) == []


def test_code_is_left_when_docstrings_are_cut_out() -> None:
    code = without_docstrings(SOURCE)
    assert '"""' not in code
    assert "return x + 1" in code
    assert 'return "no docstring"' in code


def test_one_line_keeps_words_with_underscores_and_stars() -> None:
    assert one_line("``*args`` and\n``my_name``") == "*args and my_name"
