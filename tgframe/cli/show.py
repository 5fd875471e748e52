"""``tgframe show``."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tgframe.errors import PluginError, did_you_mean


def show(kind: str, name: str, plugin_files: Sequence[Path]) -> None:
    """Print a component's docstring, its options, and where it comes from."""
    from tgframe.interfaces import KINDS
    from tgframe.registry.manager import load_plugins

    if kind not in KINDS:
        raise PluginError(f"There is no kind {kind!r}.{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}.")
    registry = load_plugins(files=plugin_files).registries[kind]
    component, provider = registry.load(name), registry.find(name).provider
    print(f"{kind} {name}  ({provider.distribution} {provider.version})\n")
    print(f"{inspect.getdoc(component) or 'No documentation.'}\n")
    lines = list(_described(component, "  "))
    print("\n".join(["options", *lines]) if lines else "no options")


def _described(component: type[Any], indent: str) -> Iterator[str]:
    """The options, and below each the options of its own types."""
    from tgframe.recipe.options import options

    for option in options(component):
        default = "required" if option.default is None else f"default {option.default}"
        about = f"{option.kind}, {default}" if option.default != "" else option.kind
        yield f"{indent}{option.name}: {about}"
        if option.doc:
            yield textwrap.indent(textwrap.fill(option.doc, 110 - len(indent)), f"{indent}    ")
        for name, below in option.choices:
            if name:
                about = below if isinstance(below, str) else (inspect.getdoc(below) or "").partition("\n")[0]
                yield f"{indent}    type: {name}  {about}".rstrip()
            if not isinstance(below, str):
                yield from _described(below, f"{indent}    {'  ' if name else ''}")
