"""The converter by itself: strict, complete, and the same both ways."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tgframe.errors import ComponentError
from tgframe.interfaces.aggregator import Aggregator
from tgframe.interfaces.task import Task
from tgframe.recipe.converter import make_converter
from tgframe.recipe.refusal import Refused


@pytest.fixture(scope="session")
def converter(plugins):
    return make_converter(plugins)


def refusal(converter, value, kind):
    with pytest.raises(Refused) as caught:
        converter.structure(value, kind)
    return [(finding.path, finding.text) for finding in caught.value.findings]


class Color(enum.Enum):
    RED = "red"


@attrs.frozen
class Private:
    _hidden: int = 1
    made: int = attrs.field(init=False, default=5)
    doubled: int = attrs.field(default=2, converter=lambda value: value * 2)


@attrs.frozen
class Late:
    low: int = 0
    high: int = attrs.field(default=1)

    @high.validator
    def _above(self, attribute, value):
        if value <= self.low:
            raise ValueError("`high` must be > `low`.")


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, float, 3.0),
        (None, int | None, None),
        ([1, 2], list[int], [1, 2]),
        ([1, 2], Sequence[float], (1.0, 2.0)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([], tuple[int, ...], ()),
        (["a", "a"], frozenset[str], frozenset({"a"})),
        ({"a": 1}, Mapping[str, float], {"a": 1.0}),
        ({1: "a"}, dict[int, str], {1: "a"}),
        ({"a": [1]}, dict, {"a": [1]}),
        ([1, "a"], list, [1, "a"]),
        (1, Literal[1, "a"], 1),
        (2, Annotated[int, "told"], 2),
        ("1", int | str, "1"),
        (1, float | int, 1),
        (1, str | float, 1.0),
        ([1], int | list[int], [1]),
        ("red", Color, Color.RED),
        ({"hidden": 3, "doubled": 4}, Private, Private(hidden=3, doubled=4)),
        ({"low": 1, "high": 2}, Late, Late(1, 2)),
    ],
)
def test_reads(converter, value, kind, expected):
    found = converter.structure(value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, int),
        (1, bool),
        (1.0, int),
        ("1", int),
        ("1", float),
        (True, float),
        (10**400, float),
        (1, str),
        (None, str),
        (True, Literal[1]),
        ("ab", list[str]),
        ({"a": 1}, list[str]),
        ([["a", 1]], dict[str, int]),
        ("green", Color),
        ("", Path),
        (1, Path),
        ([1], tuple[int, int]),
    ],
)
def test_coerces_nothing(converter, value, kind):
    ((path, text),) = refusal(converter, value, kind)
    assert path == ()
    assert text.startswith(" must ")


def test_all_mistakes_below_are_found(converter):
    kind = dict[str, tuple[int, float]]
    assert [path for path, _ in refusal(converter, {"a": [1.5, "x"], "b": 3, "c": [1, 1]}, kind)] == [
        ("a", 0),
        ("a", 1),
        ("b",),
    ]


def test_the_only_alternative_of_a_shape_tells_its_own_mistakes(converter):
    assert refusal(converter, {"low": "x"}, Late | str)[0][0] == ("low",)
    assert refusal(converter, 1.5, Late | str) == [
        ((), " must be a mapping or text, but is 1.5 instead. Put it in quotes: '1.5'.")
    ]


def test_a_validator_that_looks_at_other_options(converter):
    assert refusal(converter, {"low": 3, "high": 2}, Late) == [(("high",), " must not be 2: `high` must be > `low`.")]
    assert refusal(converter, {"high": 0}, Late)[0][1].endswith("`high` must be > `low`.")
    assert [path for path, _ in refusal(converter, {"low": "x", "high": 2}, Late)] == [("low",)]


def test_messages_are_one_short_line(converter):
    ((_, text),) = refusal(converter, "a\nb" * 500, int)
    assert "\n" not in text
    assert len(text) < 200


def test_unstructure_refuses_what_no_recipe_holds(converter, plugins):
    @attrs.frozen
    class Loose(Aggregator):
        def aggregate(self, values, mask): ...
        def length_effect(self):
            return "none"

    with pytest.raises(ComponentError, match="must be registered by a plugin"):
        converter.unstructure(Loose())
    rows = plugins.registries["task"].load("rows")
    with pytest.raises(ComponentError, match="must be plain data, but is <object"):
        converter.unstructure(rows(extra=object()))


def test_plain_data_of_every_shape(converter, plugins):
    rows = plugins.registries["task"].load("rows")
    assert converter.unstructure(rows(extra={"a": (1, {"b"}), "c": Path("/x"), "d": Color.RED}))["extra"] == {
        "a": [1, ["b"]],
        "c": "/x",
        "d": "red",
    }


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
numbers = st.floats(allow_nan=False, allow_infinity=False)
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_there_and_back_again(converter, plugins, data):
    """structure(unstructure(x)) == x, through JSON and through YAML."""
    from tgframe.recipe.dump import dump_recipe
    from tgframe.recipe.nodes import Mistake, Position
    from tgframe.recipe.nodes import data as plain
    from tgframe.recipe.source import parse

    load = {kind: plugins.registries[kind].load for kind in plugins.registries}
    classifiers = st.builds(
        converter.structure,
        st.sampled_from([{"type": "words", "limit": 4}, {"type": "model", "model": "m"}, "words"]),
        st.just(attrs.fields(attrs.resolve_types(load["task"]("rows"))).classifier.type),
    )
    task = data.draw(
        st.builds(
            load["task"]("rows"),
            classifier=classifiers,
            data=st.none() | st.builds(load["data"]("lines"), st.tuples(st.just(Path("/a b/c")))),
            labels=st.lists(names, max_size=3).map(tuple),
            pair=st.tuples(st.integers(), numbers),
            either=st.integers() | names,
            targets=st.booleans(),
            extra=plain_data,
        )
    )
    written: Any = converter.unstructure(task)
    assert next(iter(written)) == "type"
    assert converter.structure(json.loads(json.dumps(written)), Task) == task
    mistakes: list[Mistake] = []
    tree = parse(dump_recipe(written), Position("x", 1, 1), Path.cwd(), mistakes)
    assert not mistakes
    assert converter.structure(plain(tree), Task) == task


@pytest.mark.parametrize(
    "kind", ["task", "policy", "sampler", "preference", "guidance", "aggregator", "objective", "data"]
)
def test_defaults_of_every_part_survive(converter, plugins, kind):
    from tgframe.interfaces import KINDS
    from tgframe.registry.registry import import_address

    mine = [entry for entry in plugins.registries[kind] if entry.provider.plugin == "parts" and entry.name != "gone"]
    assert mine
    for entry in mine:
        made = plugins.registries[kind].load(entry.name)()
        assert converter.structure(converter.unstructure(made), import_address(KINDS[kind])) == made


@pytest.mark.parametrize("text", ["\x85", "a\u2028b", "a\u2029", "no", "1e5", " lead", "two\n lines", "é"])
def test_every_text_survives_being_written(text):
    from tgframe.recipe.dump import dump_recipe
    from tgframe.recipe.nodes import Mistake, Position
    from tgframe.recipe.nodes import data as plain
    from tgframe.recipe.source import parse

    mistakes: list[Mistake] = []
    tree = parse(dump_recipe({"key": text, text: "value"}), Position("x", 1, 1), Path.cwd(), mistakes)
    assert not mistakes
    assert plain(tree) == {"key": text, text: "value"}


def _a_name(instance: Any, attribute: Any, value: str) -> None:
    if not value.isupper():
        raise ValueError("must be in capitals, but is not.")


@attrs.frozen
class Secretive:
    key: str | None = attrs.field(default=None, validator=attrs.validators.optional(_a_name), metadata={"secret": True})


@pytest.mark.parametrize("value", ["s3cret", ["s3cret"], {"s3cret": 1}])
def test_what_may_be_a_secret_is_not_shown(converter, value):
    ((path, text),) = refusal(converter, {"key": value}, Secretive)
    assert path == ("key",)
    assert text.startswith(" must be ")
    assert "s3cret" not in text
