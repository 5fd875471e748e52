"""Reads YAML files, command-line values and Python mappings into trees, without ever running what stands in them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from tgframe.errors import RecipeError
from tgframe.recipe.nodes import Mistake, Node, Position, Text

_TAG = "tag:yaml.org,2002:"


def read_file(path: Path, shown: str, mistakes: list[Mistake]) -> Node:
    """Read a recipe file; ``shown`` is how messages call it. Mistakes that leave the rest readable are appended.

    Raises RecipeError when the file cannot be read, is not YAML, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"{shown}: this recipe does not exist.{_similar(path)}") from None
    except IsADirectoryError:
        raise RecipeError(f"{shown}: a recipe must be a file, but this is a folder.") from None
    except UnicodeDecodeError as error:
        raise RecipeError(f"{shown}: a recipe must be UTF-8 text, but byte {error.start} is not.") from None
    except OSError as error:
        raise RecipeError(f"{shown}: the recipe cannot be read: {error.strerror}.") from None
    node = parse(text, Position(shown, 1, 1), path.parent.absolute(), mistakes)
    if not isinstance(node.content, dict):
        what = "empty" if node.content is None else f"a {_noun(node.content)}"
        raise RecipeError(f"{node.at}: a recipe must be a mapping of sections, but is {what} instead.")
    return node


def read_plain(path: Path) -> Any:
    """Return what a resolved recipe file holds, as plain data. Raises RecipeError when it is not YAML."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read: {' '.join(str(error).split())}.") from None


def parse(text: str, start: Position, folder: Path, mistakes: list[Mistake]) -> Node:
    """Parse YAML 1.2 text. Where ``start`` has no line (an override), everything in it stands at ``start``.

    Raises RecipeError when it is not YAML.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        raise RecipeError(str(_not_yaml(error, start))) from None
    except YAMLError as error:
        raise RecipeError(str(Mistake(start, f"this is not YAML: {' '.join(str(error).split())}."))) from None
    if root is None:
        return Node(None, start, folder=folder)
    return _Tree(yaml.constructor, start, folder, mistakes).node(root)


def from_python(value: Any, folder: Path) -> Node:
    """Return the tree of data given in Python."""
    if isinstance(value, Mapping):
        content: Any = {key: from_python(child, folder) for key, child in value.items()}
    elif isinstance(value, list | tuple):
        content = [from_python(child, folder) for child in value]
    else:
        content = Text(value, folder) if isinstance(value, str) else value
    return Node(content, Position(), folder=folder)


@attrs.define
class _Tree:
    """Turns YAML nodes into ours."""

    constructor: Any
    start: Position
    folder: Path
    mistakes: list[Mistake]
    open: set[int] = attrs.field(factory=set)

    def node(self, yaml: Any, key: Position | None = None) -> Node:
        at = self.position(yaml)
        if id(yaml) in self.open:
            self.mistakes.append(Mistake(at, "an alias must not lie inside what it repeats."))
            return Node(None, at, key, self.folder)
        self.open.add(id(yaml))
        if isinstance(yaml, MappingNode):
            content: Any = self.mapping(yaml)
        elif isinstance(yaml, SequenceNode):
            content = [self.node(child) for child in yaml.value]
        else:
            content = self.scalar(yaml)
        self.open.discard(id(yaml))
        return Node(content, at, key, self.folder)

    def position(self, yaml: Any) -> Position:
        if self.start.line is None:
            return self.start
        return Position(self.start.source, yaml.start_mark.line + 1, yaml.start_mark.column + 1)

    def mapping(self, yaml: MappingNode) -> dict[Any, Node]:
        own: dict[Any, Node] = {}
        merged: dict[Any, Node] = {}
        for key, value in yaml.value:
            at = self.position(key)
            if key.tag == f"{_TAG}merge":
                merged |= self.merge_key(value, at)
            elif not isinstance(key, ScalarNode):
                self.mistakes.append(Mistake(at, "a key must be a word or number, but is a list or mapping instead."))
            else:
                name = self.scalar(key)
                name = str(name) if isinstance(name, Text) else name
                if name in own:
                    first = own[name].key
                    where = f" (first on line {first.line})" if first and first.line else ""
                    self.mistakes.append(Mistake(at, f"the key {name!r} stands here twice{where}. Remove one."))
                else:
                    own[name] = self.node(value, at)
        return merged | own

    def merge_key(self, yaml: Any, at: Position) -> dict[Any, Node]:
        """What ``<<`` brings in; of several mappings the earlier one wins."""
        several = yaml.value if isinstance(yaml, SequenceNode) else [yaml]
        merged: dict[Any, Node] = {}
        for one in several:
            content = self.node(one).content
            if isinstance(content, dict):
                merged = content | merged
            else:
                self.mistakes.append(Mistake(at, "`<<` must be followed by a mapping or a list of mappings."))
        return merged

    def scalar(self, yaml: ScalarNode) -> Any:
        tag = str(yaml.tag).removeprefix(_TAG)
        if tag == "null":
            return None
        if tag == "bool":
            return yaml.value.lower() == "true"
        if tag == "int":
            return self.constructor.construct_yaml_int(yaml)
        if tag == "float":
            return self.constructor.construct_yaml_float(yaml)
        if tag not in ("str", "timestamp", "value"):  # a date is text: no option is a date
            self.mistakes.append(Mistake(self.position(yaml), f"the tag {str(yaml.tag)!r} must not stand in a recipe."))
        return Text(yaml.value, self.folder)


def _not_yaml(error: MarkedYAMLError, start: Position) -> Mistake:
    mark = error.problem_mark or error.context_mark
    at = start if mark is None or start.line is None else Position(start.source, mark.line + 1, mark.column + 1)
    problem = " ".join(str(error.problem or error.context).split())
    if "'\\t'" in problem:
        return Mistake(at, "a tab must not indent. Use spaces.")
    if "expected a single document" in str(error.context):
        return Mistake(at, "a recipe must be one document, but a second one starts here.")
    context = f" ({error.context})" if error.context and error.problem else ""
    return Mistake(at, f"this is not YAML: {problem}{context}.")


def _similar(path: Path) -> str:
    try:
        there = [other.name for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, there, n=1)
    return f" Did you mean {str(path.with_name(close[0]))!r}?" if close else ""


def _noun(content: Any) -> str:
    return "list" if isinstance(content, list) else "single value"
