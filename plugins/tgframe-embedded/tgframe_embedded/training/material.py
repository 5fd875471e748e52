"""What the models are trained on: docstrings and code of the `models` bucket, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import attrs

from tgframe_embedded.corpus import documented
from tgframe_embedded.extract import Docstring, without_docstrings
from tgframe_embedded.split import Bucket

_HELD_OUT: tuple[Bucket, ...] = ("train", "dev", "test")
_SAME = 60
"""Docstrings that agree in their first so many characters count as one."""


@attrs.frozen
class Material:
    """All that is learned from one package."""

    package: str
    docstrings: tuple[str, ...]
    """Whole texts on one line, doctests included."""
    code: tuple[str, ...]
    """Files without their docstrings."""
    found: tuple[Docstring, ...] = ()
    """The docstrings again, each with its parts."""


def read(packages: Iterable[str], processes: int = 2) -> list[Material]:
    """Material of every package. Raises DataError where one is not installed.

    Docstrings that also stand in a held-out bucket (copied between files) are left out, so that no few-shot text
    starts like a text of the training. Takes about a minute.
    """
    names = list(packages)
    with ProcessPoolExecutor(processes) as pool:
        held_out = frozenset().union(*pool.map(_starts, names))
        material = pool.map(_material, names)
    return [_without(part, held_out) for part in material]


def _starts(package: str) -> frozenset[str]:
    return frozenset(_start(found.text) for split in _HELD_OUT for found in _documented(package, split))


def _material(package: str) -> Material:
    files = list(documented(package, "models"))
    found = {_start(item.text): item for _, group in files for item in group if len(item.text) >= 40}
    code = tuple(without_docstrings(file.read()) for file, _ in files)
    return Material(package, tuple(item.text for item in found.values()), code, tuple(found.values()))


def _documented(package: str, split: Bucket) -> Iterator[Docstring]:
    return (found for _, group in documented(package, split) for found in group)


def _without(part: Material, held_out: frozenset[str]) -> Material:
    unseen = tuple(item for item in part.found if _start(item.text) not in held_out)
    return attrs.evolve(part, docstrings=tuple(item.text for item in unseen), found=unseen)


def _start(text: str) -> str:
    return text[:_SAME].lower()
