"""Says what is wrong with a value in words that a person uses: what it must be, what it is, what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from tgframe.errors import did_you_mean
from tgframe.interfaces.models import ModelName
from tgframe.interfaces.specification import Specification

_SHOWN = 60
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a file or folder",
    ModelName: "a model name",
    NoneType: "null",
    Any: "anything",
}
_PLURALS = {
    int: "whole numbers",
    float: "numbers",
    str: "texts",
    bool: "true or false",
    Path: "files",
    ModelName: "model names",
}


def words(kind: Any) -> str:
    """Return what a value of type ``kind`` is called: ``a whole number``, ``a list of texts``, ``a number or null``."""
    if isinstance(kind, type) and issubclass(kind, Specification):
        return "a mapping with a `type`"
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return words(arguments[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        origin, arguments = Literal, tuple(member.value for member in kind)
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(map(repr, arguments))
    if origin in (Union, UnionType):
        ordered = sorted(arguments, key=lambda argument: argument is NoneType)
        return " or ".join(dict.fromkeys(words(argument) for argument in ordered))
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        return f"a list of {_fixed(arguments)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping from {_plural(arguments[0])} to {_plural(arguments[1])}"
    if isinstance(origin, type) and issubclass(origin, Sequence | AbstractSet):
        return f"a list of {_plural(arguments[0])}"
    if isinstance(kind, type) and (attrs.has(kind) or issubclass(kind, Mapping)):
        return "a mapping"
    if isinstance(kind, type) and issubclass(kind, list | tuple | set | frozenset):
        return "a list"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def show(value: Any) -> str:
    """Return ``value`` by ``repr``, as a recipe would call it, cut to a readable length."""
    text = "null" if value is None else " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def must_be(kind: Any, value: Any) -> str:
    """Return the second half of a sentence that begins with the path: what it must be, what it is, the remedy."""
    return f" must be {words(kind)}, but is {show(value)} instead.{_remedy(kind, value)}"


def must_be_one_of(known: Sequence[Any], value: Any) -> str:
    """Return the same for a value that is not among ``known``."""
    guess = did_you_mean(value, [name for name in known if isinstance(name, str)]) if isinstance(value, str) else ""
    return f" must be {words(Literal[tuple(known)])}, but is {show(value)} instead.{guess}"


def refused(error: Exception, value: Any) -> str:
    """Return the same for what an attrs validator raised."""
    text = " ".join(str(error.args[0] if error.args else error).split())
    for pattern, sentence in _VALIDATORS:
        found = pattern.fullmatch(text)
        if found:
            return sentence.format(**found.groupdict(), value=show(value))
    return f" must not be {show(value)}: {text or type(error).__name__}{'' if text.endswith(('.', '?', '!')) else '.'}"


_VALIDATORS = (
    (re.compile(r"'\w+' must be (?P<rule>[<>]=? [^:]+): .*"), " must be {rule}, but is {value} instead."),
    (re.compile(r"'\w+' must be in (?P<rule>.+) \(got .*\)"), " must be one of {rule}, but is {value} instead."),
    (
        re.compile(r"Length of '\w+' must be (?P<rule>[<>]=? \d+): (?P<length>\d+)"),
        " must have a length {rule}, but has {length} instead.",
    ),
    (
        re.compile(r"'\w+' must match regex (?P<rule>.+) \(.*\)"),
        " must match the pattern {rule}, but is {value} instead.",
    ),
)
"""The sentences of attrs' own validators, and ours."""


def _plural(kind: Any) -> str:
    return _PLURALS.get(kind) or f"({words(kind)})"


def _fixed(arguments: tuple[Any, ...]) -> str:
    if len(set(arguments)) == 1:
        return f"{len(arguments)} {_plural(arguments[0])}"
    return f"{len(arguments)}: {', '.join(map(words, arguments))}"


def _remedy(kind: Any, value: Any) -> str:
    """What to write instead; empty where only the person can know."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    found = (_REMEDIES[option](value) for option in options if option in _REMEDIES)
    return next((remedy for remedy in found if remedy), "")


def _for_int(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f" Write {int(value)}." if value == int(value) else f" Write a whole number such as {round(value)}."
    return _unquoted(int, value) or " Write digits, such as 10."


def _for_float(value: Any) -> str:
    if isinstance(value, float):
        return " It must be finite."
    return _unquoted(float, value) or " Write digits, such as 0.5."


def _for_bool(value: Any) -> str:
    word = str(value).lower()
    if word in ("true", "false"):
        return f" Write {word} without quotes."
    if word in ("yes", "on", "1", "no", "off", "0"):
        return f" Write {'true' if word in ('yes', 'on', '1') else 'false'}."
    return " Write true or false."


def _for_text(value: Any) -> str:
    scalar = isinstance(value, bool | int | float)
    return f" Put it in quotes: '{str(value).lower() if isinstance(value, bool) else value}'." if scalar else ""


def _unquoted(kind: type[int] | type[float], value: Any) -> str:
    if isinstance(value, str):
        try:
            kind(value)
        except ValueError:
            return ""
        return f" Write {value.strip()} without quotes."
    return ""


_REMEDIES: dict[Any, Any] = {
    int: _for_int,
    float: _for_float,
    bool: _for_bool,
    str: _for_text,
    Path: _for_text,
    ModelName: _for_text,
}
