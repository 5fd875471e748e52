"""Looking components up, and what a class must be to be one."""

from __future__ import annotations

import pytest

from tgframe.errors import PluginError
from tgframe.interfaces import KINDS
from tgframe.registry import manager
from tgframe.registry.manager import load_plugins

HEAD = """
from __future__ import annotations
import attrs
from typing import TYPE_CHECKING
from tgframe import Aggregator, GuidanceModel, Sampler, Specification
if TYPE_CHECKING:
    from decimal import Decimal
"""
HOOK = """
from tgframe import hookimpl
@hookimpl
def tgframe_register_aggregators(register):
    register("x", "tgframe_test_p_parts:X")
"""
METHODS = "\n    def aggregate(self, values, mask): ...\n    def length_effect(self): return 'none'\n"


def load(install, body: str):
    install("p", HOOK, version="1.2", files={"tgframe_test_p_parts.py": HEAD + body})
    return load_plugins(blocked=()).registries["aggregator"].load("x")


@pytest.mark.parametrize(
    "body",
    [
        "@attrs.frozen\nclass X(Aggregator):" + METHODS,
        "@attrs.frozen\nclass X(Specification[Aggregator]):\n    a: int = 1",
        "@attrs.frozen\nclass X(Specification['Aggregator']):\n    a: int = 1",
        "class Base(Specification[Aggregator]): ...\n@attrs.frozen\nclass X(Base):\n    a: int = 1",
    ],
)
def test_what_builds_the_interface_is_a_component(install, body):
    assert load(install, body).__name__ == "X"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("X = 3", "must be a subclass of tgframe.Specification"),
        ("class X: ...", "must be a subclass of tgframe.Specification"),
        ("class X(Specification[Aggregator]): ...", "must be an attrs class: put `@attrs.frozen` above it"),
        ("@attrs.frozen\nclass Y(Specification[Aggregator]): ...\nclass X(Y): ...", "must be an attrs class"),
        ("@attrs.frozen\nclass X(Aggregator): ...", "must define aggregate, length_effect"),
        (
            "@attrs.frozen\nclass X(Specification[Sampler]): ...",
            "must implement Aggregator, but implements Sampler instead",
        ),
        ("@attrs.frozen\nclass X(Sampler):\n    def sample(self): ...", "must implement Aggregator"),
        ("@attrs.frozen\nclass X(Specification[Aggregator]):\n    d: Decimal = 1", "name 'Decimal' is not defined"),
        (
            "@attrs.frozen\nclass X(Specification[Aggregator]):\n    type: str = 'a'",
            "must not have an option called `type`",
        ),
        ("import not_there", "could not be loaded: ModuleNotFoundError: No module named 'not_there'"),
        ("", "could not be loaded: AttributeError"),
        ("raise ValueError('broken\\nin two')", "could not be loaded: ValueError: broken in two"),
    ],
)
def test_what_is_no_component_is_told_with_its_origin_and_remedy(install, body, told):
    with pytest.raises(PluginError) as caught:
        load(install, body)
    message = str(caught.value)
    assert told in message
    assert message.startswith("aggregator 'x' of plugin 'p' (tgframe-p 1.2)")
    assert "pip uninstall tgframe-p" in message
    assert "TGFRAME_BLOCK=p" in message
    assert "\n" not in message


def test_the_cause_is_kept(install):
    with pytest.raises(PluginError) as caught:
        load(install, "import not_there")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_registry_lists_its_entries_by_name():
    registry = load_plugins(blocked=()).registries["sampler"]
    assert [entry.name for entry in registry] == registry.names() == sorted(registry.names())


def test_a_kind_without_components_says_so(monkeypatch):
    monkeypatch.setattr(manager, "discover", list)
    registry = load_plugins(blocked={"tgframe"}).registries["sampler"]
    with pytest.raises(PluginError, match="No sampler is installed"):
        registry.find("top-k")


def test_interfaces_can_be_imported():
    from tgframe.registry.registry import import_address

    assert all(isinstance(import_address(address), type) for address in KINDS.values())
