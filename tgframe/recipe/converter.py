"""The one converter between recipes and specifications. Strict: nothing is coerced but a whole number to a number.

All mistakes are found in one pass: a hook that refuses its value raises :class:`~tgframe.recipe.refusal.Refused`, and
whoever called it adds the path and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from cattrs import Converter

from tgframe.interfaces import KINDS
from tgframe.recipe.choosing import ChoiceMenu, Menu, is_choice, structure_component
from tgframe.recipe.classes import structure_class, structure_fields
from tgframe.recipe.plain import plain
from tgframe.recipe.schema import Recipe
from tgframe.recipe.shapes import register_shapes
from tgframe.registry.manager import Plugins
from tgframe.registry.registry import import_address


def make_converter(plugins: Plugins) -> Converter:
    """Return the converter for the components of ``plugins``.

    ``structure(data, type)`` raises :class:`~tgframe.recipe.refusal.Refused` with every mistake;
    ``unstructure(specification)`` gives plain data with ``type`` first and all defaults filled in, which structures
    to an equal specification.
    """
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    register_shapes(converter)
    converter.register_structure_hook_factory(
        attrs.has, lambda kind: lambda value, _: structure_class(converter, value, kind)
    )
    converter.register_structure_hook_factory(
        is_choice, lambda head: _choosing(converter, ChoiceMenu(head, plugins.owner(head)), head)
    )
    converter.register_structure_hook(
        Recipe, lambda value, _: structure_fields(converter, value, Recipe, "a section of a recipe", "Sections")
    )
    registries = {import_address(address): plugins.registries[kind] for kind, address in KINDS.items()}
    converter.register_structure_hook_factory(
        lambda kind: isinstance(kind, type) and kind in registries,
        lambda interface: _choosing(converter, registries[interface], interface),
    )
    converter.register_unstructure_hook_func(attrs.has, lambda value: plain(value, plugins))
    return converter


def _choosing(converter: Converter, menu: Menu, expected: Any) -> Callable[[Any, Any], Any]:
    return lambda value, _: structure_component(converter, value, menu, expected)
