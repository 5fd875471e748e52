"""From templates to the files of a distribution."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from string import Template

from tgframe import __version__
from tgframe.errors import PluginError
from tgframe.scaffold.kinds import Kind
from tgframe.scaffold.name import Name

SUFFIX = ".txt"
"""Of every template, so that no tool takes it for what it will become."""


def render(kind: Kind, name: Name) -> dict[str, str]:
    """Return the files of a new distribution: path to text, sorted.

    Raises PluginError for a name whose class would hide one that the code of the template imports.
    """
    words = _words(kind, name)
    templates = resources.files("tgframe.scaffold") / "templates"
    texts = [*_texts(templates / "common"), *_texts(templates / kind.name)]
    files = {_placed(path, name): Template(text).substitute(words) for path, text in texts}
    for path, text in files.items():
        if path.endswith(".py") and name.class_name in _imported(text, name):
            raise PluginError(
                f"`NAME` must not be {name.component!r}: the class {name.class_name!r} would hide another that its "
                f"code imports. Choose another, such as 'my-{name.component}'."
            )
    return dict(sorted(files.items()))


def _words(kind: Kind, name: Name) -> Mapping[str, str]:
    """What the templates leave open."""
    needed = {f"tgframe>={_release()}": "interfaces and registration", "attrs>=24.2": "options"}
    if kind.tensors:
        needed["torch>=2.6"] = "tensors"
    return {
        "kind": kind.name,
        "title": kind.title,
        "does": kind.does,
        "use": f"{kind.name}: {{type: {name.component}, {kind.option}}}",
        "name": name.component,
        "distribution": name.distribution,
        "package": name.package,
        "class_name": name.class_name,
        "dependencies": "\n".join(_dependency(what, why) for what, why in needed.items()),
    }


def _dependency(what: str, why: str) -> str:
    quoted = f'"{what}",'
    return f"    {quoted:<25}# {why}"


def _release() -> str:
    """The first release with these interfaces, as far as this one knows: its own, without the last part."""
    return ".".join(__version__.split(".")[:2])


def _texts(folder: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield f"{path}{entry.name.removesuffix(SUFFIX)}", entry.read_text(encoding="utf-8")


def _placed(path: str, name: Name) -> str:
    """Return where a template's text goes. Package data cannot begin with a dot."""
    return path.replace("package/", f"{name.package}/").replace("dot-", ".")


def _imported(code: str, name: Name) -> set[str]:
    """Return the names that code imports from elsewhere."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    own = [node for node in imports if isinstance(node, ast.ImportFrom) and str(node.module).startswith(name.package)]
    return {alias.asname or alias.name for node in imports if node not in own for alias in node.names}
