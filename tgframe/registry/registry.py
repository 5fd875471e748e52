"""Components of one kind by name: who provides them, and the class behind a name, imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any, ForwardRef, Protocol, get_args, get_origin

import attrs

from tgframe.errors import PluginError, did_you_mean
from tgframe.interfaces.specification import Specification

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Register(Protocol):
    """What a registration hook is given."""

    def __call__(self, name: str, target: str | type[Any]) -> None:
        """Register a component: the name that recipes use, and ``"module:Class"`` (or the class itself)."""


@attrs.frozen
class Provider:
    """Who registered a component."""

    plugin: str
    distribution: str
    version: str
    remedy: str
    """What a person does about it when it does not work."""

    def __str__(self) -> str:
        return f"plugin {self.plugin!r} ({self.distribution} {self.version})"


@attrs.frozen
class BrokenPlugin:
    """A plugin that is installed and cannot be used."""

    name: str
    distribution: str
    version: str
    message: str
    """What is wrong, and the remedy, on one line."""


@attrs.frozen
class Entry:
    """One registered component."""

    kind: str
    name: str
    target: str | type[Any]
    provider: Provider

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.provider}"

    @property
    def address(self) -> str:
        """The class as ``"module:Class"``."""
        return self.target if isinstance(self.target, str) else f"{self.target.__module__}:{self.target.__qualname__}"


@attrs.define(eq=False)
class Registry:
    """Components of one kind. Names are unique: two providers of one name are an error for that name alone."""

    kind: str
    interface: str
    """``"module:Class"`` of the interface that the components implement."""
    broken: tuple[BrokenPlugin, ...] = ()
    """Plugins that could not be loaded: an unknown name may be theirs."""
    _entries: dict[str, list[Entry]] = attrs.field(factory=dict)
    _classes: dict[str, type[Specification[Any]]] = attrs.field(factory=dict)

    def add(self, entry: Entry) -> None:
        """Register a component."""
        self._entries.setdefault(entry.name, []).append(entry)

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        return sorted(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """Every entry, by name; a name with two providers comes twice."""
        return (entry for name in self.names() for entry in self._entries[name])

    def find(self, name: str) -> Entry:
        """Return the entry called ``name``. Raises PluginError when there is none, or more than one."""
        entries = self._entries.get(name)
        if not entries:
            raise PluginError(f"There is no {self.kind} {name!r}.{self.suggestion(name)}")
        if len(entries) > 1:
            raise PluginError(_clash(entries))
        return entries[0]

    def load(self, name: str) -> type[Specification[Any]]:
        """Return the class behind ``name``, importing it at the first call.

        Raises PluginError naming plugin, distribution and version when it cannot be imported or breaks its interface.
        """
        if name not in self._classes:
            entry = self.find(name)
            component = _import(entry)
            _check(component, entry, self.interface)
            self._classes[name] = component
        return self._classes[name]

    def name_of(self, component: type[Any]) -> str | None:
        """Return the name under which a class is registered, or None."""
        address = f"{component.__module__}:{component.__qualname__}"
        for entry in self:
            if entry.target is component or entry.target == address or self._classes.get(entry.name) is component:
                return entry.name
        return None

    def clashes(self) -> list[str]:
        """Return one message for each name that has more than one provider."""
        return [_clash(self._entries[name]) for name in self.names() if len(self._entries[name]) > 1]

    def suggestion(self, name: str) -> str:
        """Return what helps with an unknown name: the closest one, what is installed, broken plugins to suspect."""
        known = self.names()
        listed = f"Installed: {', '.join(known)}." if known else f"No {self.kind} is installed."
        suspects = "".join(
            f" Plugin {broken.name!r} ({broken.distribution} {broken.version}) might provide it, but is broken:"
            " see `tgframe plugins`."
            for broken in self.broken
        )
        return f"{did_you_mean(name, known)} {listed}{suspects}"


def make_entry(kind: str, name: object, target: object, provider: Provider) -> Entry:
    """Return a registry entry. Raises PluginError when name or target are not of the right form."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(f"a {kind} must have a name of letters, digits, '-', '_' and '.', but has {name!r} instead.")
    if not isinstance(target, type) and not (isinstance(target, str) and _TARGET.fullmatch(target)):
        raise PluginError(f"{kind} {name!r} must be registered as 'module:Class' or a class, but is as {target!r}.")
    return Entry(kind, name, target, provider)


def import_address(address: str) -> Any:
    """Return what ``"module:Name"`` stands for."""
    module, _, path = address.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def told(error: BaseException) -> str:
    """Return an exception on one line: its type, what it says, and for syntax errors where."""
    where = f" ({error.filename}:{error.lineno})" if isinstance(error, SyntaxError) and error.filename else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(f"{type(error).__name__}: {text}{where}".split()).removesuffix(":")


def _clash(entries: list[Entry]) -> str:
    owners = " and ".join(str(entry.provider) for entry in entries)
    plugins = [entry.provider.plugin for entry in entries if entry.provider.plugin != "tgframe"]
    block = " or ".join(f"`TGFRAME_BLOCK={plugin}`" for plugin in plugins)
    what = f"{entries[0].kind} {entries[0].name!r}"
    return f"{what} is provided twice: by {owners}. Uninstall one, or leave it out with {block}."


def _import(entry: Entry) -> Any:
    try:
        return import_address(entry.target) if isinstance(entry.target, str) else entry.target
    except Exception as error:
        raise PluginError(f"{entry} could not be loaded: {told(error)}. {entry.provider.remedy}") from error


def _check(component: Any, entry: Entry, interface: str) -> None:
    if not isinstance(component, type) or not issubclass(component, Specification):
        raise _fault(entry, "must be a subclass of tgframe.Specification")
    if "__attrs_attrs__" not in vars(component):
        raise _fault(entry, "must be an attrs class: put `@attrs.frozen` above it")
    expected, built = import_address(interface), built_by(component)
    if built is not None and not issubclass(built, expected):
        raise _fault(entry, f"must implement {expected.__name__}, but implements {built.__name__} instead")
    if inspect.isabstract(component):
        raise _fault(entry, f"must define {', '.join(sorted(component.__abstractmethods__))}")
    try:
        fields: Any = attrs.fields(attrs.resolve_types(component))  # type: ignore[type-var,arg-type]
    except Exception as error:
        raise _fault(entry, f"has an option of a type that is unknown at run time ({told(error)})") from error
    if any(field.alias == "type" for field in fields):
        raise _fault(entry, "must not have an option called `type`: that key names the component")


def built_by(component: type[Any]) -> type[Any] | None:
    """What ``build`` returns: ``X`` of the nearest ``Specification[X]``; None where that cannot be told."""
    for above in component.__mro__:
        for base in vars(above).get("__orig_bases__", ()):
            origin, arguments = get_origin(base), get_args(base)
            if not (isinstance(origin, type) and issubclass(origin, Specification)):
                continue
            if isinstance(arguments[0], ForwardRef):  # an interface names itself: Specification["Sampler"]
                return above if arguments[0].__forward_arg__ == above.__name__ else None
            return arguments[0] if isinstance(arguments[0], type) else None
    return None


def _fault(entry: Entry, what: str) -> PluginError:
    return PluginError(f"{entry}: {entry.address!r} {what}. {entry.provider.remedy}")
