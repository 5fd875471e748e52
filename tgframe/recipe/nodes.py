"""The tree that a recipe is read into: plain data, of which every piece knows where it stands."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

Step: TypeAlias = Hashable
"""One step of a path into a recipe: a key, or an index of a list."""


@attrs.frozen
class Position:
    """Where something stands: a file with line and column (from 1), an override, or nowhere (data given in Python)."""

    source: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@attrs.frozen
class Mistake:
    """What is wrong, and where."""

    position: Position
    message: str

    def __str__(self) -> str:
        where = str(self.position)
        return f"{where}: {self.message}" if where else self.message


class Text(str):
    """Text of a recipe. Knows the folder to which relative paths in it belong."""

    folder: Path

    def __new__(cls, text: str, folder: Path) -> Text:
        """Return ``text`` with its folder."""
        made = super().__new__(cls, text)
        made.folder = folder
        return made


@attrs.frozen
class Node:
    """A mapping, a list or a scalar of a recipe."""

    content: Any
    """``dict[key, Node]``, ``list[Node]``, or the scalar itself (text as :class:`Text`)."""
    at: Position
    """Where the value stands."""
    key: Position | None = None
    """Where its key stands, for values of mappings."""
    folder: Path = attrs.field(factory=Path.cwd)
    """The folder to which relative paths belong."""

    @property
    def position(self) -> Position:
        """Where a person looks for it: the value of a scalar, else the key."""
        own = not isinstance(self.content, dict | list) and self.content is not None
        return self.at if own or self.key is None else self.key


def data(node: Node) -> Any:
    """Return the plain data of a tree; texts stay :class:`Text`."""
    if isinstance(node.content, dict):
        return {key: data(child) for key, child in node.content.items()}
    if isinstance(node.content, list):
        return [data(child) for child in node.content]
    return node.content


def locate(root: Node, path: Sequence[Step], at_key: bool = False) -> Position:
    """Return where ``path`` stands, or the nearest mapping around it when it is not there."""
    node = root
    for step in path:
        child = _child(node.content, step)
        if child is None:
            return node.position
        node = child
    return node.key if at_key and node.key is not None else node.position


def _child(content: Any, step: Step) -> Node | None:
    if isinstance(content, dict):
        return content.get(step)
    inside = isinstance(content, list) and isinstance(step, int) and step < len(content)
    return content[step] if inside else None


def dotted(path: Sequence[Step]) -> str:
    """Return a path as people write it: ``task.labels[0]``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
