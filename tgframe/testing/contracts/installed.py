"""What registry and recipe know of a component: its plugin, its options, its way through a recipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tgframe.interfaces import KINDS
from tgframe.interfaces.specification import Specification
from tgframe.recipe.converter import make_converter
from tgframe.recipe.options import options
from tgframe.registry.manager import BLOCK, discover, load_plugins
from tgframe.registry.registry import Provider, import_address, make_entry

_CHILD = "import sys; from tgframe.registry.manager import load_plugins; load_plugins(); print(*sys.modules)"


def interface(kind: str) -> type:
    """Return the class that parts of ``kind`` implement."""
    found = import_address(KINDS[kind])
    assert isinstance(found, type)
    return found


def provider_of(component: type) -> str | None:
    """Return the name of the installed plugin whose package holds ``component``, or None when it is not installed."""
    package = component.__module__.partition(".")[0]
    if package == "tgframe":
        return "tgframe" if component.__module__.startswith(("tgframe.builtin.", "tgframe.policies.")) else None
    return next((point.name for point in discover() if point.module.partition(".")[0] == package), None)


def registration_problem(kind: str, component: type) -> str | None:
    """Return what keeps an installed component from being found by its name, or None."""
    plugin = provider_of(component)
    plugins = load_plugins(blocked=frozenset())
    broken = [found.message for found in plugins.broken if found.name == plugin]
    if broken:
        return broken[0]
    own = [entry for entry in plugins.registries[kind] if entry.provider.plugin == plugin]
    if any(plugins.registries[kind].load(entry.name) is component for entry in own):
        return None
    names = ", ".join(f"{entry.name!r} as {entry.address!r}" for entry in own) or "nothing"
    address = f"{component.__module__}:{component.__qualname__}"
    return f"plugin {plugin!r} must register {address!r} as a {kind}, but registers {names} instead."


def modules_after_registration(plugin: str) -> frozenset[str]:
    """Return the modules in a fresh process once ``plugin``, and no other, has registered its components."""
    others = [point.name for point in discover() if point.name != plugin]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), BLOCK: ",".join(others)}
    run = subprocess.run([sys.executable, "-c", _CHILD], env=environment, capture_output=True, text=True, check=True)
    return frozenset(run.stdout.split())


def through_recipe(kind: str, made: Specification[Any]) -> Any:
    """Write a specification as a recipe would, as JSON text, and read it again."""
    plugins = load_plugins(blocked=frozenset())
    if plugins.find(made) is None:
        provider = Provider("contract", "not installed", "0", "Install it.")
        plugins.registries[kind].add(make_entry(kind, "component-under-test", type(made), provider))
    converter = make_converter(plugins)
    return converter.structure(json.loads(json.dumps(converter.unstructure(made))), interface(kind))


def undocumented(component: type, path: str = "") -> list[str]:
    """Return the options, nested ones included, that have no text under them."""
    missing = []
    for option in options(component):
        here = f"{path}{option.name}"
        missing += [] if option.doc else [here]
        for _, below in option.choices:
            missing += [f"{here}: {below}"] if isinstance(below, str) else undocumented(below, f"{here}.")
    return missing
