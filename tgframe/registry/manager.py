"""Loads plugins: built-ins, installed ones, single files. A broken plugin is told and takes nothing down."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pluggy

from tgframe import __version__
from tgframe.errors import PluginError, did_you_mean
from tgframe.interfaces import INTERFACE_VERSION, KINDS
from tgframe.interfaces.origin import origin
from tgframe.interfaces.specification import Specification
from tgframe.registry import hookspecs
from tgframe.registry.registry import BrokenPlugin, Entry, Provider, Register, Registry, make_entry, told

GROUP = "tgframe"
"""The entry-point group of plugins."""
BLOCK = "TGFRAME_BLOCK"
"""Environment variable: names of plugins that are not loaded, separated by commas."""


@attrs.frozen
class LoadedPlugin:
    """A plugin that works, and what it offers."""

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...]
    components: tuple[Entry, ...]


@attrs.frozen(eq=False)
class Plugins:
    """What is installed: a value, made by :func:`load_plugins`; nothing about it is global."""

    manager: pluggy.PluginManager
    """Calls the life-cycle hooks: ``plugins.manager.hook.tgframe_run_started(run=run)``."""
    registries: Mapping[str, Registry]
    """Kind (``"sampler"``) to its components."""
    loaded: tuple[LoadedPlugin, ...]
    broken: tuple[BrokenPlugin, ...]
    blocked: tuple[str, ...]
    """Installed plugins that were left out on request."""

    def find(self, specification: Specification[Any] | type[Specification[Any]]) -> Entry | None:
        """Return the entry of a specification's class: its kind, name, plugin, distribution and version."""
        component = specification if isinstance(specification, type) else type(specification)
        for registry in self.registries.values():
            name = registry.name_of(component)
            if name is not None:
                return registry.find(name)
        return None

    def owner(self, component: type[Any]) -> Provider | None:
        """Return who brings a class that is not registered itself: the plugin with components in the same package."""
        package = _package(component.__module__)
        entries = (entry for plugin in self.loaded for entry in plugin.components)
        return next((entry.provider for entry in entries if _package(entry.address) == package), None)

    def provenance(self, value: Any, path: str = "") -> dict[str, dict[str, Any]]:
        """Return where the components of a recipe come from: path to kind, name, plugin, distribution, version.

        A component that runs code of others has ``modules`` too: module to ``"distribution version"``.
        """
        found: dict[str, dict[str, Any]] = {}
        entry = self.find(value) if isinstance(value, Specification) else None
        if entry is not None:
            provider = attrs.asdict(entry.provider, filter=lambda field, _: field.name != "remedy")
            found[path] = {"kind": entry.kind, "name": entry.name, **provider}
            if modules := value.imports():
                found[path]["modules"] = {module: origin(module) for module in sorted(modules)}
        for name, child in _children(value):
            found |= self.provenance(child, f"{path}.{name}".removeprefix("."))
        return found

    def clashes(self) -> list[str]:
        """Return one message for each component name that has two providers."""
        return [message for registry in self.registries.values() for message in registry.clashes()]


def load_plugins(*, blocked: Collection[str] | None = None, files: Sequence[str | Path] = ()) -> Plugins:
    """Load built-ins, then installed plugins by name, then ``files``, each a Python file that is a plugin by itself.

    ``blocked`` names plugins to leave out; None reads the environment variable ``TGFRAME_BLOCK``. An installed plugin
    that does not work is listed in ``broken``. Raises PluginError for a file that does not work: it was asked for.
    """
    blocked = _blocked_by_environment() if blocked is None else frozenset(blocked)
    gathering = _Gathering()
    points = [_BUILTIN, *sorted(discover(), key=lambda point: (point.name, point.value))]
    for point in points:
        if point.name not in blocked:
            gathering.install(point)
    for file in files:
        gathering.read(Path(file))
    return gathering.finish(tuple(point.name for point in points if point.name in blocked))


def _children(value: Any) -> Iterable[tuple[Any, Any]]:
    if attrs.has(type(value)):
        return ((field.alias, getattr(value, field.name)) for field in attrs.fields(type(value)))
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()


def _package(address: str) -> str:
    return address.partition(":")[0].partition(".")[0]


def discover() -> Iterable[EntryPoint]:
    """Return the entry points of installed plugins."""
    return entry_points(group=GROUP)


_BUILTIN = EntryPoint("tgframe", "tgframe.builtin", GROUP)


def _blocked_by_environment() -> frozenset[str]:
    return frozenset(name.strip() for name in os.environ.get(BLOCK, "").split(",") if name.strip())


@attrs.define
class _Gathering:
    """Plugins while they are loaded."""

    manager: pluggy.PluginManager = attrs.field(factory=lambda: pluggy.PluginManager("tgframe"))
    owners: dict[str, Provider] = attrs.field(factory=dict)
    loaded: list[LoadedPlugin] = attrs.field(factory=list)
    broken: list[BrokenPlugin] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.manager.add_hookspecs(hookspecs)

    def install(self, point: EntryPoint) -> None:
        provider = _provider(point)
        try:
            self._add(point.load(), provider)
        except (Exception, SystemExit) as error:
            what = str(error) if isinstance(error, PluginError) else told(error)
            message = f"{provider} could not be loaded: {what.removesuffix('.')}. {provider.remedy}"
            self.broken.append(BrokenPlugin(provider.plugin, provider.distribution, provider.version, message))

    def read(self, file: Path) -> None:
        if not file.is_file():
            raise PluginError(f"Plugin file {str(file)!r} does not exist.")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
        provider = Provider(file.stem, str(file), f"sha256 {digest}", f"Mend {str(file)!r}.")
        try:
            self._add(_execute(file), provider, own_module=file.stem)
        except (Exception, SystemExit) as error:
            what = str(error) if isinstance(error, PluginError) else _told_with_line(error, file)
            raise PluginError(f"Plugin file {str(file)!r} could not be loaded: {what}") from error

    def finish(self, blocked: tuple[str, ...]) -> Plugins:
        broken = tuple(self.broken)
        registries = {kind: Registry(kind, interface, broken) for kind, interface in KINDS.items()}
        for plugin in self.loaded:
            for entry in plugin.components:
                registries[entry.kind].add(entry)
        return Plugins(self.manager, registries, tuple(self.loaded), broken, blocked)

    def _add(self, plugin: Any, provider: Provider, own_module: str | None = None) -> None:
        if provider.plugin in self.owners:
            raise PluginError(f"its name is already taken by {self.owners[provider.plugin]}")
        _check_interface(plugin)
        _check_hooks(plugin)
        try:
            self.manager.register(plugin, name=provider.plugin)
            hooks = _hooks(self.manager, plugin)
            components = tuple(self._components(plugin, provider, own_module))
        except (Exception, SystemExit):
            if self.manager.has_plugin(provider.plugin):
                self.manager.unregister(name=provider.plugin)
            raise
        self.owners[provider.plugin] = provider
        self.loaded.append(LoadedPlugin(provider.plugin, provider.distribution, provider.version, hooks, components))

    def _components(self, plugin: Any, provider: Provider, own_module: str | None) -> list[Entry]:
        others = [other for other in self.manager.get_plugins() if other is not plugin]
        entries: list[Entry] = []
        for hook, kind in hookspecs.REGISTRATION.items():
            # One plugin at a time: a pluggy call does not tell who said what.
            offer = self.manager.subset_hook_caller(hook, others)
            offer(register=_collector(kind, provider, own_module, entries))
        return entries


def _collector(kind: str, provider: Provider, own_module: str | None, entries: list[Entry]) -> Register:
    def register(name: str, target: str | type[Any]) -> None:
        if own_module is not None and isinstance(target, str) and target.startswith(f"{own_module}:"):
            target = _module_name(own_module) + target.removeprefix(own_module)
        entry = make_entry(kind, name, target, provider)
        if any((entry.kind, entry.name) == (other.kind, other.name) for other in entries):
            raise PluginError(f"{kind} {name!r} is registered twice")
        entries.append(entry)

    return register


def _provider(point: EntryPoint) -> Provider:
    if point is _BUILTIN:
        return Provider("tgframe", "tgframe", __version__, "Reinstall it with `pip install --force-reinstall tgframe`.")
    name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, "of unknown version")
    remedy = (
        f"Update it with `pip install -U {name}`, uninstall it with `pip uninstall {name}`, "
        f"or leave it out with `{BLOCK}={point.name}`."
    )
    return Provider(point.name, name, version, remedy)


def _check_interface(plugin: Any) -> None:
    stated = getattr(plugin, "TGFRAME_INTERFACE", None)
    if stated is None or stated == INTERFACE_VERSION:
        return
    newer = isinstance(stated, int) and stated > INTERFACE_VERSION
    made_for = "a newer tgframe: try `pip install -U tgframe`" if newer else "another tgframe"
    raise PluginError(
        f"its `TGFRAME_INTERFACE` must be {INTERFACE_VERSION} for tgframe {__version__}, but is {stated!r} instead:"
        f" it was made for {made_for}"
    )


def _check_hooks(plugin: Any) -> None:
    """Refuse what pluggy overlooks: a hook that does not exist, and one without its mark."""
    known = [name for name in vars(hookspecs) if name.startswith("tgframe_")]
    for name, value in list(vars(plugin).items()) if isinstance(plugin, ModuleType) else ():
        mark = getattr(value, "tgframe_impl", None)
        if mark is None and name in known and callable(value):
            raise PluginError(f"hook {name!r} is not marked: put `@tgframe.hookimpl` above it")
        hook = name if mark is None else mark["specname"] or name
        if mark is not None and hook not in known and not mark["optionalhook"]:
            raise PluginError(f"there is no hook {hook!r}.{did_you_mean(hook, known)}")


def _hooks(manager: pluggy.PluginManager, plugin: Any) -> tuple[str, ...]:
    manager.check_pending()
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def _module_name(stem: str) -> str:
    return "tgframe_file_" + re.sub(r"\W", "_", stem)


def _execute(file: Path) -> ModuleType:
    """Run a plugin file as a module that stays importable under a stable name."""
    name = _module_name(file.stem)
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise PluginError("it must be a Python file whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        _restore(name, before)
        raise
    return module


def _restore(name: str, module: ModuleType | None) -> None:
    if module is None:
        del sys.modules[name]
    else:
        sys.modules[name] = module


def _told_with_line(error: BaseException, file: Path) -> str:
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file.resolve()):
            line = trace.tb_lineno
        trace = trace.tb_next
    return told(error) if line is None else f"{told(error)} (line {line})"
