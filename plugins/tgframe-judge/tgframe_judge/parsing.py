"""Reads verdicts out of replies: one legal line, or nothing."""

from __future__ import annotations

from typing import Any

from tgframe_judge.prompting import labels

Verdict = tuple[tuple[int, ...], ...]
"""Places in the order in which the completions were shown: the best first, equally good ones together."""

_WORDS = {"listwise": "RANKING:", "pairwise": "BETTER:"}
_EMPHASIS = str.maketrans("", "", "*_`")


def parse(mode: str, reply: str, count: int) -> Verdict | None:
    """Return the verdict of a reply on ``count`` completions; None unless it has a legal line, and one opinion."""
    lines = (line.translate(_EMPHASIS).strip() for line in reply.splitlines())
    word = _WORDS[mode]
    opinions = {_read(mode, line.removeprefix(word).strip(), count) for line in lines if line.startswith(word)}
    return opinions.pop() if len(opinions) == 1 else None


def legal(value: Any, count: int) -> Verdict | None:
    """Return ``value``, as JSON has it, as a verdict on ``count`` completions; None when it is none."""
    if not isinstance(value, list | tuple) or not all(isinstance(tier, list | tuple) and tier for tier in value):
        return None
    places = [place for tier in value for place in tier]
    whole = all(type(place) is int and 0 <= place < count for place in places)
    if not whole or len(set(places)) < len(places) or len(places) < 2:
        return None
    return tuple(tuple(sorted(tier)) for tier in value)


def _read(mode: str, text: str, count: int) -> Verdict | None:
    if mode == "pairwise":
        return {"A": ((0,), (1,)), "B": ((1,), (0,)), "TIE": ((0, 1),)}.get(text)
    places = {label: place for place, label in enumerate(labels(count))}
    return legal([[places.get(label.strip(), -1) for label in tier.split("=")] for tier in text.split(">")], count)
