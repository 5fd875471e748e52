"""Docstrings out of one source file, with `ast`: the file is parsed, never run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import PurePosixPath

import attrs

_RULE = re.compile(r"^\s*[-=~^*_#.+|]{3,}\s*$", re.MULTILINE)
_ROLE = re.compile(r":[a-z]+(?::[a-z]+)?:(?=`)")
_MARKUP = re.compile(r"`+~?|\*\*|\[(?=`)|(?<=`)\]")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")

_BLOCKS = ("body", "handlers", "orelse", "finalbody")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Docstring:
    """One documented module, class or function."""

    path: str
    line: int
    summary: str
    """The first paragraph on one line."""
    body: str
    """Everything after it, its line structure gone, its rules and markup too; may be empty."""
    name: str = ""
    """What the class or function is called; of a module, its file without the ending."""

    @property
    def text(self) -> str:
        """Summary and body on one line."""
        return f"{self.summary} {self.body}".strip()

    @property
    def prose(self) -> str:
        """The text up to its first doctest."""
        return self.text.split(">>>")[0].strip()


def docstrings(source: str, path: str) -> Iterator[Docstring]:
    """Every docstring of a file in the order of its lines. A file that does not parse has none."""
    for node in _documented(source):
        text = ast.get_docstring(node)
        if text:
            summary, _, body = text.partition("\n\n")
            name = getattr(node, "name", PurePosixPath(path).stem)
            yield Docstring(path, getattr(node, "lineno", 0), one_line(summary), one_line(body), name)


def without_docstrings(source: str) -> str:
    """The code of a file with its docstrings cut out line by line."""
    lines = source.splitlines()
    for first, last in _docstring_spans(source):
        lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line for line in lines if line.strip())


def one_line(text: str) -> str:
    """Text without heading rules, roles, backticks and line breaks."""
    return _SPACE.sub(" ", _MARKUP.sub("", _ROLE.sub("", _RULE.sub(" ", text)))).strip()


def words(name: str) -> str:
    """A name as lower-case words: "sort_values" is "sort values", "DataFrame" is "data frame"."""
    return " ".join(_WORD.findall(name)).lower()


def _documented(source: str) -> Iterator[_Documented]:
    """Module, classes and functions in the order of their lines. Goes down statements only: expressions hold none."""
    tree = _parse(source)
    pending: list[ast.AST] = [tree] if tree else []
    while pending:
        node = pending.pop()
        if isinstance(node, _Documented):
            yield node
        inner = [child for name in _BLOCKS for child in getattr(node, name, ())]
        pending.extend(reversed(inner))


def _parse(source: str) -> ast.Module | None:
    if '"""' not in source and "'''" not in source:  # spares the parser most of the files that cannot have any
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's docstrings
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _docstring_spans(source: str) -> Iterator[tuple[int, int]]:
    for node in _documented(source):
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            yield first.lineno, first.end_lineno or first.lineno
