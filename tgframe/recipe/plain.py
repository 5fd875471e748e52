"""Turns specifications back into plain data: ``type`` first, every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from tgframe.errors import ComponentError
from tgframe.interfaces.specification import Specification
from tgframe.recipe.choosing import ChoiceMenu, choice_of
from tgframe.recipe.classes import fields_of
from tgframe.registry.manager import Plugins


def plain(value: Any, plugins: Plugins) -> Any:
    """Return ``value`` as JSON has it. Raises ComponentError for what no recipe can hold."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(child, plugins) for key, child in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(plain(child, plugins) for child in value)
    if isinstance(value, list | tuple):
        return [plain(child, plugins) for child in value]
    if isinstance(value, Enum):
        return value.value
    if not attrs.has(type(value)):
        raise ComponentError(f"An option of a component must be plain data, but is {value!r} instead.")
    named = {"type": _name(value, plugins)} if isinstance(value, Specification) else {}
    options = {name: plain(getattr(value, field.name), plugins) for name, field in fields_of(type(value)).items()}
    return named | options


def _name(specification: Specification[Any], plugins: Plugins) -> str:
    component = type(specification)
    entry = plugins.find(component)
    if entry is not None:
        return entry.name
    head = choice_of(component)
    name = ChoiceMenu(head, None).name_of(component) if head else None
    if name is None:
        raise ComponentError(f"{component.__qualname__!r} must be registered by a plugin, but is not.")
    return name
