"""``tgframe plugins``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tgframe.errors import PluginError

if TYPE_CHECKING:
    from tgframe.registry.manager import Plugins


def plugins(as_json: bool, check: bool, plugin_files: Sequence[Path]) -> None:
    """List what is installed. With ``check``, import every component and raise PluginError for all that is broken."""
    from tgframe.registry.manager import load_plugins

    found = load_plugins(files=plugin_files)
    unusable = _unusable(found) if check else []
    print(json.dumps(_data(found, unusable), indent=2) if as_json else _text(found, unusable))
    if check and (found.broken or found.clashes() or unusable):
        raise PluginError("Some plugins are broken.")


def _unusable(found: Plugins) -> list[str]:
    """Import every component; return what goes wrong."""
    messages = []
    for registry in found.registries.values():
        for name in registry.names():
            try:
                registry.load(name)
            except PluginError as error:
                messages.append(str(error))
    return [message for message in messages if message not in found.clashes()]


def _data(found: Plugins, unusable: list[str]) -> dict[str, Any]:
    return {
        "plugins": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "hooks": list(plugin.hooks),
                "components": [
                    {"kind": entry.kind, "name": entry.name, "target": entry.address} for entry in plugin.components
                ],
            }
            for plugin in found.loaded
        ],
        "broken": [
            {
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "message": plugin.message,
            }
            for plugin in found.broken
        ],
        "clashes": found.clashes(),
        "blocked": list(found.blocked),
        "unusable": unusable,
    }


def _text(found: Plugins, unusable: list[str]) -> str:
    lines = []
    for plugin in found.loaded:
        lines.append(f"{plugin.name}  ({plugin.distribution} {plugin.version})")
        kinds = dict.fromkeys(entry.kind for entry in plugin.components)
        for kind in kinds:
            names = ", ".join(entry.name for entry in plugin.components if entry.kind == kind)
            lines.append(f"  {kind:<11} {names}")
        others = [hook for hook in plugin.hooks if not hook.startswith("tgframe_register_")]
        if others or not plugin.hooks:
            lines.append(f"  {'hooks':<11} {', '.join(others) or 'none: this plugin does nothing'}")
    lines += [f"blocked: {name}" for name in found.blocked]
    lines += [f"broken: {plugin.message}" for plugin in found.broken]
    lines += [f"clash: {message}" for message in found.clashes()]
    lines += [f"unusable: {message}" for message in unusable]
    return "\n".join(lines)
