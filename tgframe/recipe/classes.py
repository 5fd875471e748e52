"""Reads attrs classes: every unknown key, missing field, mistaken value and failed validator in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from cattrs import Converter

from tgframe.errors import did_you_mean
from tgframe.interfaces.specification import Specification
from tgframe.recipe.explain import must_be, refused, words
from tgframe.recipe.refusal import Finding, Refused, below
from tgframe.recipe.shapes import structure


def fields_of(kind: Any) -> dict[str, attrs.Attribute[Any]]:
    """Return the options of an attrs class by the names that a recipe uses, their types resolved."""
    return {field.alias: field for field in attrs.fields(attrs.resolve_types(kind)) if field.init and field.alias}


def structure_class(converter: Converter, value: Any, kind: type[Any]) -> Any:
    """Return an instance of the attrs class ``kind`` made of a mapping, or of the bare name of its ``type``."""
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and "type" in fields_of(kind):
        value = {"type": value}
    if not isinstance(value, Mapping):
        raise Refused.whole(must_be(kind, value))
    return structure_fields(converter, value, kind, "known here", "Known here")


def structure_fields(converter: Converter, value: Mapping[Any, Any], kind: type[Any], noun: str, known: str) -> Any:
    """Return an instance made of a mapping; ``noun`` and ``known`` say what unknown keys are not, and head the list."""
    fields = fields_of(kind)
    findings = [Finding((key,), _unknown(key, list(fields), noun, known), True) for key in value if key not in fields]
    given: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            with below(name, findings):
                given[name] = _structured(converter, value[name], field)
        elif field.default is attrs.NOTHING:
            findings.append(
                Finding((name,), f" is missing. It must be {words(field.type)}.{_how_to_add(name, field.type)}")
            )
    findings += _invalid(kind, fields, given)
    if findings:
        raise Refused(findings)
    try:
        return kind(**given)
    except Exception as error:
        raise Refused.whole(f" does not fit together: {' '.join(str(error).split())}") from error


def _structured(converter: Converter, value: Any, field: attrs.Attribute[Any]) -> Any:
    try:
        return structure(converter, value, Any if field.type is None else field.type)
    except Refused:
        if not field.metadata.get("secret"):
            raise
        raise Refused.whole(f" must be {words(field.type)}, but is something else (it is not shown).") from None


def _invalid(
    kind: type[Any], fields: Mapping[str, attrs.Attribute[Any]], given: Mapping[str, Any]
) -> Iterator[Finding]:
    """Run every validator by itself: attrs stops at the first that objects, and all are wanted."""
    probe = object.__new__(kind)
    for name, value in given.items():
        object.__setattr__(probe, fields[name].name, value)
    for name, value in given.items():
        field = fields[name]
        if field.validator is None or field.converter is not None:
            continue
        try:
            field.validator(probe, field, value)
        except AttributeError:
            continue  # it looks at another field, which is not there: making the instance tells, if it matters
        except Exception as error:
            secret = field.metadata.get("secret", False)
            yield Finding((name,), f" {' '.join(str(error).split())}" if secret else refused(error, value))


def _how_to_add(name: str, kind: Any) -> str:
    return f" Add `{name}: {{type: …}}`." if isinstance(kind, type) and issubclass(kind, Specification) else ""


def _unknown(key: Any, names: Sequence[str], noun: str, known: str) -> str:
    listed = f"{known}: {', '.join(names)}." if names else "It has no options."
    return f" is not {noun}.{did_you_mean(str(key), names)} {listed}"
