"""What plugins see: names, methods, fields, signatures, written down in public_api.txt.

A change there is a change for every plugin: it is made on purpose, with ``python tests/test_public_api.py``, and where
plugins have to follow, ``INTERFACE_VERSION`` is raised.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import tgframe
from tgframe.interfaces import INTERFACE_VERSION, KINDS

WRITTEN = Path(__file__).with_name("public_api.txt")


def lines() -> Iterator[str]:
    """Describe the public interface, one line a thing."""
    yield f"INTERFACE_VERSION = {INTERFACE_VERSION}"
    yield from (f"kind {kind}: {address}" for kind, address in KINDS.items())
    for name in tgframe.__all__:
        value = getattr(tgframe, name)
        if inspect.isclass(value):
            yield f"class {name}({', '.join(base.__name__ for base in value.__bases__ if base is not object)})"
            yield from (f"    {line}" for line in members(value))
        elif inspect.isfunction(value):
            yield f"def {name}{signature(value)}"
        else:
            yield name
    from tgframe.registry import hookspecs

    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("tgframe_")}
    yield from (f"hook {name}{signature(hook)}" for name, hook in hooks.items())


def signature(function: Callable[..., Any]) -> str:
    """Describe parameters and result; quotes around annotations depend on the version of Python."""
    return str(inspect.signature(function)).replace("'", "")


def members(public: type[Any]) -> Iterator[str]:
    """Describe fields and methods that a class defines itself."""
    fields = {field.name: field for field in attrs.fields(public)} if attrs.has(public) else {}
    written = {name: kind for base in reversed(public.__mro__) for name, kind in inspect.get_annotations(base).items()}
    for name, field in fields.items():  # as it is written: a recipe that names the class resolves the type of the field
        yield f"{name}: {written[name]}{'' if field.default is attrs.NOTHING else ' = …'}"
    if not fields:
        yield from (f"{name}: {kind}" for name, kind in inspect.get_annotations(public).items())
    for name, value in vars(public).items():
        if name in fields or (name.startswith("_") and name not in ("__add__", "__len__", "__call__")):
            continue
        if isinstance(value, classmethod):
            yield f"classmethod {name}{signature(value.__func__)}"
        elif isinstance(value, property):
            yield f"property {name} -> {inspect.signature(value.fget).return_annotation}"  # type: ignore[arg-type]
        elif inspect.isfunction(value):
            abstract = "abstract " if getattr(value, "__isabstractmethod__", False) else ""
            yield f"{abstract}{name}{signature(value)}"


def test_the_public_interface_is_as_it_is_written_down() -> None:
    found = list(lines())
    written = WRITTEN.read_text(encoding="utf-8").splitlines()
    change = "\n".join(difflib.unified_diff(written, found, "public_api.txt", "tgframe", lineterm="", n=0))
    assert not change, f"{change}\n\nIf this is meant, run `python {Path(__file__).name}` in tests/."


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    assert len(set(tgframe.__all__)) == len(tgframe.__all__)
    assert dir(tgframe) == sorted(tgframe.__all__)
    for name in tgframe.__all__:
        value = getattr(tgframe, name)
        if hasattr(value, "__module__") and name != "hookimpl":
            assert getattr(importlib.import_module(value.__module__), name) is value


def test_every_kind_is_public() -> None:
    for kind, address in KINDS.items():
        name = address.partition(":")[2]
        assert name in tgframe.__all__, f"the interface of {kind} must be public"
        assert getattr(tgframe, name).__module__ == address.partition(":")[0]


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Reward'"):
        tgframe.Reward  # noqa: B018


if __name__ == "__main__":
    WRITTEN.write_text("\n".join(lines()) + "\n", encoding="utf-8")
