"""Where sentences end, by rules alone: nothing has to be downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator

_ENDS = re.compile(
    r"[.!?\u2026]+[\"'\u201d\u2019)\]]*(?=\s)"  # a stop, what closes behind it, and a gap
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*"  # the stops of scripts without gaps
)
_LAST_WORD = re.compile(r"\S+$")
_OPENING = "(\"'\u201c\u2018["
_NEVER = frozenset(
    {"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "rev.", "gen.", "sen.", "rep.", "gov.", "capt.", "sgt.", "lt."}
    | {"messrs.", "e.g.", "i.e.", "cf.", "vs.", "resp.", "approx.", "fig.", "figs.", "eq.", "eqs.", "dept."}
    | {"jan.", "feb.", "aug.", "sep.", "sept.", "oct.", "nov.", "dec."}
)
"""Abbreviations that never end a sentence."""
_BEFORE_CAPITALS = frozenset(
    {"u.s.", "u.k.", "u.n.", "a.m.", "p.m.", "jr.", "sr.", "inc.", "ltd.", "co.", "corp.", "al.", "etc."}
)
"""Abbreviations that end one where a capital letter follows."""
_BEFORE_NUMBERS = frozenset({"no.", "nos.", "p.", "pp.", "vol.", "ch.", "sec."})
"""Abbreviations that end none where a digit follows."""
_INITIAL = re.compile(r"[^\W\d_]\.")


def sentences(text: str) -> list[str]:
    """Return the sentences of ``text``, without the space around them. A line break always ends one.

    A stop ends a sentence where a gap follows and what stands behind it does not begin with a small letter, unless it
    belongs to an abbreviation or to an initial. Scripts with stops of their own need no gap.
    """
    return [found for line in text.splitlines() for found in _split(line) if found]


def _split(line: str) -> Iterator[str]:
    start = 0
    for end in _ENDS.finditer(line):
        if _ends(line, start, end):
            yield line[start : end.end()].strip()
            start = end.end()
    yield line[start:].strip()


def _ends(line: str, start: int, end: re.Match[str]) -> bool:
    after = line[end.end() :].lstrip()[:1]
    if end.group()[0] in "\u3002\uff01\uff1f":
        return True
    if after.islower():
        return False
    found = _LAST_WORD.search(line, start, end.end())
    word = found.group().lower().lstrip(_OPENING) if found else ""
    if word in _BEFORE_CAPITALS:
        return after.isupper()
    if word in _BEFORE_NUMBERS:
        return not after.isdigit()
    return word not in _NEVER and not _INITIAL.fullmatch(word)
