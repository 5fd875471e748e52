"""Reads components: ``type`` chooses the class, the other keys are its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs
from cattrs import Converter

from tgframe.errors import PluginError, did_you_mean
from tgframe.interfaces.specification import Choice, Specification
from tgframe.recipe.classes import structure_fields
from tgframe.recipe.explain import must_be
from tgframe.recipe.refusal import Finding, Refused
from tgframe.registry.registry import Provider, import_address, told


class Menu(Protocol):
    """What ``type`` may name: a registry, or the table of a :class:`Choice`."""

    @property
    def kind(self) -> str:
        """What is chosen, as a word: ``"aggregator"``."""

    def names(self) -> list[str]:
        """Return what may be chosen."""

    def suggestion(self, name: str) -> str:
        """Return what helps with an unknown name."""

    def load(self, name: str) -> type[Specification[Any]]:
        """Return the class behind ``name``. Raises PluginError."""

    def name_of(self, component: type[Any]) -> str | None:
        """Return the name behind which a class stands, or None."""


def structure_component(converter: Converter, value: Any, menu: Menu, expected: Any) -> Any:
    """Return the specification that ``value`` names: a mapping with ``type``, a bare name, or a finished one."""
    if isinstance(value, Specification):
        return _finished(value, menu)
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        raise Refused.whole(must_be(expected, value) + menu.suggestion(""))
    if "type" not in value:
        raise Refused.whole(f" must have a `type`, but has none.{menu.suggestion('')}")
    name = value["type"]
    if not isinstance(name, str):
        raise Refused([Finding(("type",), must_be(str, name))])
    if name not in menu.names():
        text = f" must be an installed {menu.kind}, but is {str(name)!r} instead.{menu.suggestion(name)}"
        raise Refused([Finding(("type",), text)])
    try:
        component = menu.load(name)
    except PluginError as error:
        raise Refused([Finding(("type",), f" cannot be used: {error}")]) from error
    options = {key: child for key, child in value.items() if key != "type"}
    return structure_fields(converter, options, component, f"an option of {menu.kind} {str(name)!r}", "Its options")


def _finished(value: Specification[Any], menu: Menu) -> Specification[Any]:
    if menu.name_of(type(value)) is None:
        text = f" must be registered by a plugin as {menu.kind}, but {type(value).__qualname__} is not."
        raise Refused.whole(text)
    return value


def is_choice(kind: Any) -> bool:
    """Tell whether ``kind`` is the head of a :class:`Choice`, with a table of its own."""
    return isinstance(kind, type) and issubclass(kind, Choice) and "choices" in vars(kind)


def choice_of(component: type[Any]) -> type[Choice[Any]] | None:
    """Return the :class:`Choice` that a class belongs to, or None."""
    return next((above for above in component.__mro__ if is_choice(above) and above is not Choice), None)


@attrs.frozen
class ChoiceMenu:
    """The table of a :class:`Choice`."""

    head: type[Choice[Any]]
    owner: Provider | None

    @property
    def kind(self) -> str:
        """The name of the class, as a word."""
        return self.head.__name__.lower()

    def names(self) -> list[str]:
        """Return what may be chosen."""
        return sorted(self.head.choices)

    def suggestion(self, name: str) -> str:
        """Return what helps with an unknown name."""
        return f"{did_you_mean(name, self.names())} There is: {', '.join(self.names())}."

    def load(self, name: str) -> type[Specification[Any]]:
        """Return the class behind ``name``. Raises PluginError."""
        remedy, whose = (f" {self.owner.remedy}", f" of {self.owner}") if self.owner else ("", "")
        try:
            component = import_address(self.head.choices[name])
        except Exception as error:
            message = f"{self.kind} {name!r}{whose} could not be loaded: {told(error)}.{remedy}"
            raise PluginError(message) from error
        if isinstance(component, type) and issubclass(component, self.head) and "__attrs_attrs__" in vars(component):
            return component
        raise PluginError(f"{self.kind} {name!r}{whose} must be an attrs subclass of {self.head.__name__}.{remedy}")

    def name_of(self, component: type[Any]) -> str | None:
        """Return the name behind which a class stands, or None."""
        address = f"{component.__module__}:{component.__qualname__}"
        return next((name for name, target in self.head.choices.items() if target == address), None)
