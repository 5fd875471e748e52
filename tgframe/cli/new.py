"""``tgframe new``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tgframe.errors import PluginError

if TYPE_CHECKING:
    from tgframe.registry.manager import Plugins
    from tgframe.scaffold.name import Name


def new(kind: str, name: str, into: Path) -> None:
    """Write a small, complete plugin into a new folder; print its files and what to type next.

    Raises PluginError, and writes nothing, for an unknown kind, a name that cannot be or is taken, and a folder that is
    not empty.
    """
    from tgframe.registry.manager import load_plugins
    from tgframe.scaffold.kinds import find_kind
    from tgframe.scaffold.name import parse_name
    from tgframe.scaffold.render import render
    from tgframe.scaffold.write import write

    template, parsed = find_kind(kind), parse_name(name)
    _refuse_taken(kind, parsed, load_plugins())
    files, target = render(template, parsed), into / parsed.distribution
    write(files, target)
    print(f"{parsed.distribution}: {template.title.lower()}, with its tests\n")
    print("\n".join(f"  {target / path}" for path in files))
    print(f"\nNext:\n\n  cd {shlex.quote(str(target))}\n  pip install -e '.[test]'\n  pytest")


def _refuse_taken(kind: str, name: Name, plugins: Plugins) -> None:
    """Raise PluginError where the name is a component's of that kind, or a plugin's."""
    remedy = f"Choose another name, such as 'my-{name.component}'."
    if name.component in plugins.registries[kind].names():
        entries = [entry for entry in plugins.registries[kind] if entry.name == name.component]
        owners = " and ".join(str(entry.provider) for entry in entries)
        raise PluginError(f"There is a {kind} {name.component!r} already: of {owners}. {remedy}")
    working, broken = [plugin.name for plugin in plugins.loaded], [plugin.name for plugin in plugins.broken]
    if name.component in (*working, *broken, *plugins.blocked):
        raise PluginError(f"There is a plugin {name.component!r} already: see `tgframe plugins`. {remedy}")
