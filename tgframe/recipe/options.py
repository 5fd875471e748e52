"""The options of a component, as a person reads them: name, type in words, default, and the text under the field."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import textwrap
from typing import Any, get_args

import attrs

from tgframe.errors import PluginError
from tgframe.interfaces.specification import Specification
from tgframe.recipe.choosing import ChoiceMenu, is_choice
from tgframe.recipe.classes import fields_of
from tgframe.recipe.explain import words


@attrs.frozen
class Option:
    """One option."""

    name: str
    kind: str
    """Its type in words: ``a whole number``."""
    default: str | None
    """As a recipe would have it; None when the option must be given, empty where its own options say it."""
    doc: str
    """The text under the field, on one line."""
    choices: tuple[tuple[str, type[Any] | str], ...] = ()
    """Its own types and their classes (or what is wrong with them) where it is a :class:`Choice`; the class of its
    options under ``""`` where it is a group of options."""


def options(component: type[Any]) -> tuple[Option, ...]:
    """Return the options of an attrs class, in order."""
    docs = field_docs(component)
    return tuple(
        Option(name, words(field.type), _default(field), docs.get(field.name, ""), _choices(field.type))
        for name, field in fields_of(component).items()
    )


def field_docs(component: type[Any]) -> dict[str, str]:
    """Return the strings that stand under the fields of a class and of the classes above it."""
    docs: dict[str, str] = {}
    for above in reversed(component.__mro__):
        if "__attrs_attrs__" in vars(above):
            docs |= _docs_of(above)
    return docs


def _docs_of(component: type[Any]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(component)))
    except (OSError, TypeError, SyntaxError):
        return {}  # made in a notebook, or without source
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for field, below in itertools.pairwise(body):
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, str):
            found[field.target.id] = " ".join(text.split())
    return found


def _default(field: attrs.Attribute[Any]) -> str | None:
    default: Any = field.default
    if default is attrs.NOTHING:
        return None
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a function to mypy, a class at run time
        return _written(default)
    if default.takes_self:
        return "made from other options"
    made = default.factory()
    return "" if attrs.has(type(made)) else _written(made)


def _written(value: Any) -> str:
    """A default as a recipe would have it."""
    return json.dumps(value, default=str, ensure_ascii=False)


def _choices(kind: Any) -> tuple[tuple[str, type[Any] | str], ...]:
    """What can be said about the options below this one without importing more than a :class:`Choice` names."""
    for option in (kind, *get_args(kind)):
        if is_choice(option):
            menu = ChoiceMenu(option, None)
            return tuple((name, _loaded(menu, name)) for name in menu.names())
        if isinstance(option, type) and attrs.has(option) and not issubclass(option, Specification):
            return (("", option),)
    return ()


def _loaded(menu: ChoiceMenu, name: str) -> type[Any] | str:
    try:
        return menu.load(name)
    except PluginError as error:
        return str(error)
