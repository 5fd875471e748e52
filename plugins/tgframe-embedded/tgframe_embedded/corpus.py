"""Rows out of the docstrings of installed packages: texts with their package, and bodies with their summaries."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from tgframe_embedded.extract import Docstring, docstrings, words
from tgframe_embedded.installed import SourceFile, canonical, source_files
from tgframe_embedded.masking import giveaways, masked
from tgframe_embedded.packages import DEFAULT_PACKAGES
from tgframe_embedded.split import Bucket

Row = dict[str, Any]

MIN_WORDS: Final = 12
"""Shorter docstrings make no row: too little is left in them to tell a package by."""

FILES_READ: Final = 60
"""At most this many files with docstrings are parsed per package and bucket: the first ones in hash order."""


def texts(
    packages: Iterable[str] = DEFAULT_PACKAGES, split: Bucket = "test", *, max_words: int = 24, files: int = FILES_READ
) -> list[Row]:
    """Few-shot rows {"id", "text", "label"} of one bucket, in an order that depends on their text alone.

    The text is the start of a docstring, up to its first doctest, with every named package masked out. No text occurs
    twice; one that occurs in more than one package tells nothing and is left out.
    """
    names = [canonical(name) for name in packages]
    pattern = giveaways(names)

    def row(name: str, found: Docstring) -> Row | None:
        kept = masked(found.prose, pattern).split()[:max_words]
        return {"id": _id(name, found), "text": " ".join(kept), "label": name} if len(kept) >= MIN_WORDS else None

    return _unambiguous(_rows(names, split, files, row))


def pairs(packages: Iterable[str] = DEFAULT_PACKAGES, split: Bucket = "test", *, max_words: int = 120) -> list[Row]:
    """Summarization rows {"id", "name", "source", "target", "label"} of one bucket: a body and its summary line.

    The name is that of the class or function, as words. Summaries have 20 to 160 characters, bodies at least 120;
    bodies are cut after `max_words` words. All files of the bucket are read. No pair of equal source, and none of
    equal target, occurs twice.
    """
    names = [canonical(name) for name in packages]

    def row(name: str, found: Docstring) -> Row | None:
        if not (20 <= len(found.summary) <= 160 and len(found.body) >= 120):
            return None
        return {
            "id": _id(name, found),
            "name": words(found.name),
            "source": " ".join(found.body.split()[:max_words]),
            "target": found.summary,
            "label": name,
        }

    rows = _rows(names, split, None, row)
    return _ordered(_first_of(_first_of(rows, "source"), "target"), "source")


def without(rows: Iterable[Row], others: Iterable[Row], key: str = "text") -> list[Row]:
    """The rows whose `key` does not occur among the others."""
    taken = {other[key] for other in others}
    return [row for row in rows if row[key] not in taken]


def balanced(rows: Iterable[Row], per_class: int) -> list[Row]:
    """The first `per_class` rows of every label, in the order they have."""
    seen: Counter[str] = Counter()
    kept = []
    for row in rows:
        if seen[row["label"]] < per_class:
            kept.append(row)
        seen[row["label"]] += 1
    return kept


def documented(package: str, split: Bucket, limit: int | None = None) -> Iterator[tuple[SourceFile, list[Docstring]]]:
    """The files of a bucket that hold docstrings, with them: the first `limit` in hash order, or all."""
    count = 0
    for file in source_files(package, split):
        found = list(docstrings(file.read(), file.path))
        if found:
            yield file, found
            count += 1
        if count == limit:
            return


def _rows(
    names: Iterable[str], split: Bucket, files: int | None, row: Callable[[str, Docstring], Row | None]
) -> Iterator[Row]:
    for name in names:
        for _, found in documented(name, split, files):
            yield from filter(None, (row(name, docstring) for docstring in found))


def _id(name: str, found: Docstring) -> str:
    return f"{name}:{found.path}:{found.line}"


def _unambiguous(rows: Iterable[Row]) -> list[Row]:
    rows = list(rows)
    owners: dict[str, set[str]] = {}
    for row in rows:
        owners.setdefault(row["text"], set()).add(row["label"])
    return _ordered(_first_of((row for row in rows if len(owners[row["text"]]) == 1), "text"), "text")


def _first_of(rows: Iterable[Row], key: str) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        if row[key] not in seen:
            seen.add(row[key])
            yield row


def _ordered(rows: Iterable[Row], key: str) -> list[Row]:
    return sorted(rows, key=lambda row: hashlib.sha256(row[key].encode()).digest())
