"""Reads scalars, lists, mappings, literals and unions: as they are, or not at all."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cattrs import Converter

from tgframe.interfaces.models import ModelName
from tgframe.recipe.explain import must_be, must_be_one_of
from tgframe.recipe.nodes import Text
from tgframe.recipe.refusal import Finding, Refused, below

Hook = Callable[[Any, Any], Any]


def register_shapes(converter: Converter) -> None:
    """Teach the converter everything that is not a class."""
    for scalar, hook in _SCALARS.items():
        if isinstance(scalar, type):
            converter.register_structure_hook(scalar, hook)
        else:
            converter.register_structure_hook_factory(partial(operator.is_, scalar), _always(hook))
    for matches, shape in _SHAPES:
        converter.register_structure_hook_factory(matches, _always(partial(shape, converter)))


def structure(converter: Converter, value: Any, kind: Any) -> Any:
    """Structure by the converter; whatever goes wrong in a foreign hook refuses the value, too."""
    try:
        return converter.structure(value, kind)
    except Refused:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise Refused.whole(f"{must_be(kind, value)} ({text})") from error


def _always(hook: Hook) -> Callable[[Any], Hook]:
    def factory(kind: Any) -> Hook:
        return hook

    return factory


def _integer(value: Any, kind: Any) -> int:
    if type(value) is not int:
        raise Refused.whole(must_be(kind, value))
    return value


def _number(value: Any, kind: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused.whole(must_be(kind, value))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Refused.whole(must_be(kind, value))
    return number


def _truth(value: Any, kind: Any) -> bool:
    if not isinstance(value, bool):
        raise Refused.whole(must_be(kind, value))
    return value


def _text(value: Any, kind: Any) -> str:
    if not isinstance(value, str):
        raise Refused.whole(must_be(kind, value))
    return str(value)


def _nothing(value: Any, kind: Any) -> None:
    if value is not None:
        raise Refused.whole(must_be(NoneType, value))


def _path(value: Any, kind: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise Refused.whole(must_be(kind, value))
    return _absolute(value)


def _model_name(value: Any, kind: Any) -> str:
    name = _text(value, kind)
    local = name.startswith(("./", "../", "~")) or os.path.isabs(name) or name in (".", "..")
    return str(_absolute(value)) if local else name


def _absolute(value: str | Path) -> Path:
    folder = value.folder if isinstance(value, Text) else Path.cwd()
    return Path(os.path.normpath(folder / os.path.expanduser(value)))


def _anything(value: Any, kind: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _anything(child, kind) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_anything(child, kind) for child in value]
    return str(value) if isinstance(value, Text) else value


_SCALARS: dict[Any, Hook] = {
    int: _integer,
    float: _number,
    bool: _truth,
    str: _text,
    NoneType: _nothing,
    Path: _path,
    ModelName: _model_name,
    Any: _anything,
}


def _literal(converter: Converter, value: Any, kind: Any) -> Any:
    plain = str(value) if isinstance(value, Text) else value
    for known in get_args(kind):
        if type(known) is type(plain) and known == plain:
            return known
    raise Refused.whole(must_be_one_of(get_args(kind), plain))


def _enum(converter: Converter, value: Any, kind: Any) -> Any:
    for member in kind:
        if member is value or (type(value) in (type(member.value), Text) and member.value == value):
            return member
    raise Refused.whole(must_be_one_of([member.value for member in kind], value))


def _annotated(converter: Converter, value: Any, kind: Any) -> Any:
    return structure(converter, value, get_args(kind)[0])


def _union(converter: Converter, value: Any, kind: Any) -> Any:
    options = [option for option in get_args(kind) if option is not NoneType]
    if value is None and NoneType in get_args(kind):
        return None
    own = str if isinstance(value, Text) else type(value)
    refusals = []
    for option in sorted(options, key=lambda option: option is not own):
        try:
            return structure(converter, value, option)
        except Refused as refusal:
            refusals.append(refusal)
    deeper = [refusal for refusal in refusals if any(finding.path for finding in refusal.findings)]
    if len(deeper) == 1:  # the only alternative of this shape: its mistakes are the ones to tell
        raise deeper[0]
    if len(refusals) == 1 and options[0] not in _SCALARS:
        raise refusals[0]
    raise Refused.whole(must_be(kind, value))


def _sequence(converter: Converter, value: Any, kind: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise Refused.whole(must_be(kind, value))
    arguments = get_args(kind) or (Any,)
    made, findings = [], list[Finding]()
    for index, element in enumerate(value):
        with below(index, findings):
            made.append(structure(converter, element, arguments[0]))
    if findings:
        raise Refused(findings)
    origin = get_origin(kind) or kind
    if issubclass(origin, AbstractSet):
        return set(made) if origin is set else frozenset(made)
    return made if origin is list else tuple(made)


def _fixed_tuple(converter: Converter, value: Any, kind: Any) -> Any:
    arguments = get_args(kind)
    if not isinstance(value, list | tuple):
        raise Refused.whole(must_be(kind, value))
    if len(value) != len(arguments):
        raise Refused.whole(f" must have {len(arguments)} entries, but has {len(value)} instead.")
    made, findings = [], list[Finding]()
    for index, (element, argument) in enumerate(zip(value, arguments, strict=True)):
        with below(index, findings):
            made.append(structure(converter, element, argument))
    if findings:
        raise Refused(findings)
    return tuple(made)


def _mapping(converter: Converter, value: Any, kind: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Refused.whole(must_be(kind, value))
    key_kind, value_kind = get_args(kind) or (Any, Any)
    made, findings = {}, list[Finding]()
    for key, child in value.items():
        wrong = list[Finding]()
        with below(key, wrong):
            name = structure(converter, key, key_kind)
        with below(key, findings):
            made[key if wrong else name] = structure(converter, child, value_kind)
        findings += [Finding((key,), f", as a key,{finding.text}", at_key=True) for finding in wrong]
    if findings:
        raise Refused(findings)
    return made


def _is_fixed_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1:] != (Ellipsis,)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _made_of(*origins: type[Any]) -> Callable[[Any], bool]:
    return lambda kind: (get_origin(kind) or kind) in origins


# Of several that match, the last one counts.
_SHAPES: tuple[tuple[Callable[[Any], bool], Callable[[Converter, Any, Any], Any]], ...] = (
    (_made_of(list, tuple, set, frozenset, Sequence, AbstractSet), _sequence),
    (_is_fixed_tuple, _fixed_tuple),
    (_made_of(dict, Mapping), _mapping),
    (_made_of(Literal), _literal),  # type: ignore[arg-type]
    (_made_of(Annotated), _annotated),  # type: ignore[arg-type]
    (_is_enum, _enum),
    (_made_of(Union, UnionType), _union),  # type: ignore[arg-type]
)
