"""Every leaf that differs, once."""

from __future__ import annotations

import pytest

from tgframe.recipe.differences import differences


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", "1", "2")]),
        (
            {"a": {"b": 1, "c": 2}},
            {"a": {"b": 3, "d": 4}},
            [("a.b", "1", "3"), ("a.d", "absent", "4"), ("a.c", "2", "absent")],
        ),
        ({"a": {"b": 1}}, {"a": 5}, [("a", "{'b': 1}", "5")]),
        ({"a": True}, {"a": 1}, [("a", "True", "1")]),
        ({"a": None}, {}, [("a", "None", "absent")]),
        (1, 1, []),
    ],
)
def test_differences(old, new, found):
    assert list(differences(old, new)) == found
