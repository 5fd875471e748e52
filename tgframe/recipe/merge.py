"""Makes one tree of a recipe, the recipes that it extends, and overrides.

Mappings merge deeply; a changed ``type`` replaces its whole mapping; everything else is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tgframe.errors import RecipeError
from tgframe.recipe.nodes import Mistake, Node, Position, Text
from tgframe.recipe.source import from_python, parse, read_file


def gather(source: str | Path | Mapping[str, Any], overrides: Sequence[str], mistakes: list[Mistake]) -> Node:
    """Read ``source`` with everything it extends, then lay ``overrides`` (``key.sub=value``) over it."""
    if isinstance(source, Mapping):
        root = _extend(from_python(source, Path.cwd()), "", (), mistakes)
    else:
        root = _read(Path(source).expanduser(), str(source), (), mistakes)
    for override in overrides:
        node = _override(override, mistakes)
        root = merge(root, node) if node is not None else root
    return root


def merge(base: Node, over: Node) -> Node:
    """Lay ``over`` on ``base``."""
    below, above = base.content, over.content
    if isinstance(above, dict) and isinstance(below, Text):
        below = {"type": base}  # a bare name means {type: name}
    if isinstance(above, Text) and isinstance(below, dict) and "type" in below:
        above = {"type": over}
    if not isinstance(above, dict) or not isinstance(below, dict) or _changes_type(below, above):
        return attrs.evolve(over, key=over.key or base.key)
    content = dict(below)
    for key, child in above.items():
        content[key] = merge(below[key], child) if key in below else child
    # What an override adds to a mapping does not move the mapping.
    named = over if over.at.line is not None or not base.at.source else base
    return attrs.evolve(named, content=content, key=named.key or base.key)


def _changes_type(below: dict[Any, Node], above: dict[Any, Node]) -> bool:
    return "type" in above and "type" in below and above["type"].content != below["type"].content


def _read(path: Path, shown: str, chain: tuple[Path, ...], mistakes: list[Mistake]) -> Node:
    return _extend(read_file(path, shown, mistakes), shown, (*chain, path.resolve()), mistakes)


def _extend(node: Node, shown: str, chain: tuple[Path, ...], mistakes: list[Mistake]) -> Node:
    """Replace ``extends`` of a recipe by what it names; later files win, the recipe itself wins over all."""
    content = dict(node.content)
    extends = content.pop("extends", None)
    own = attrs.evolve(node, content=content)
    if extends is None:
        return own
    merged: Node | None = None
    for entry in extends.content if isinstance(extends.content, list) else [extends]:
        if not isinstance(entry.content, Text):
            message = f"`extends` must be a file or a list of files, but is {entry.content!r} instead."
            mistakes.append(Mistake(entry.position, message))
            continue
        base = _base(entry, shown, chain, mistakes)
        merged = base if merged is None else merge(merged, base)
    return own if merged is None else merge(merged, own)


def _base(entry: Node, shown: str, chain: tuple[Path, ...], mistakes: list[Mistake]) -> Node:
    name = os.path.expanduser(entry.content)
    path = (entry.folder / name).resolve()
    if path in chain:
        circle = " → ".join(file.name for file in (*chain[chain.index(path) :], path))
        raise RecipeError(str(Mistake(entry.position, f"`extends` must not go round in a circle: {circle}.")))
    if not path.is_file():
        message = f"`extends` names {str(entry.content)!r}, which does not exist (looked for {path})."
        raise RecipeError(str(Mistake(entry.position, message)))
    return _read(path, os.path.normpath(os.path.join(os.path.dirname(shown), name)), chain, mistakes)


def _override(text: str, mistakes: list[Mistake]) -> Node | None:
    path, equals, value = text.partition("=")
    at = Position(f"override {path.strip()!r}")  # the value may be a secret
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        mistakes.append(Mistake(at, "an override must have the form `key.sub=value`."))
        return None
    try:
        node = parse(value, at, Path.cwd(), mistakes)
    except RecipeError as error:
        mistakes.append(Mistake(Position(), str(error)))
        return None
    node = attrs.evolve(node, key=at)
    for key in reversed(keys):
        node = Node({key: node}, at, at)
    return node
