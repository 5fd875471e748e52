"""Rows for the summarizer: spans to copy, gaps to fill, and names with bodies whose summary line is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer

from tgframe_embedded.extract import words
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.tokenizer import EOS, MASK, PAD

IGNORED: Final = -100
SOURCE: Final = 128
TARGET: Final = 32
"""Most tokens of a source and of a target, the closing </s> included."""
COPYING: Final = 0.12
"""Share of the time in which nothing but copying is learned."""
FILLING: Final = 0.8
"""Share of the time after which no gaps are filled any more."""

LONG: Final = 0.85
"""Share of the rows that have a body to speak of."""

THINNED: Final = 0.3
"""Most of the tokens that are left out of the source of a pair."""

_POOL = 16
_CODE = 1500
_BODY = 1000
_FULL_BODY = 20
_WORD = re.compile(r"[a-z]{3,}")
_COMMON = frozenset({"the", "and", "for", "with", "that", "this", "from", "are", "not"})
_STEM = 5

Ids = np.ndarray[Any, np.dtype[np.int64]]
Pair = tuple[Ids, Ids]


class Pairs:
    """Draws batches of sources and targets; what kind they are of depends on how far the training is.

    A model that starts with the pairs never looks at its source: guessing from the last words pays sooner. So it
    learns to copy first, where nothing but the source helps.
    """

    def __init__(self, material: Iterable[Material], tokenizer: Tokenizer, seed: int) -> None:
        parts = list(material)
        self._rng = np.random.default_rng(seed)
        self._running = _running(parts, tokenizer)
        pairs = list(_pairs(parts, tokenizer))
        self._long = _Weighted([pair for pair in pairs if len(pair[0]) >= _FULL_BODY])
        self._short = _Weighted([pair for pair in pairs if len(pair[0]) < _FULL_BODY])
        self._ready: list[list[Pair]] = []

    def batch(self, rows: int, progress: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return sources [rows, S], padded with PAD, and labels [rows, T], padded with IGNORED; both int64.

        Rows of about the same length share a batch, so that little is padded.
        """
        if not self._ready:
            longest = int(32 + (SOURCE - 32) * self._rng.random() ** 2)
            drawn = [self._pair(progress, longest) for _ in range(rows * _POOL)]
            drawn.sort(key=lambda pair: (len(pair[0]), len(pair[1])))
            self._ready = [drawn[start : start + rows] for start in range(0, len(drawn), rows)]
            self._rng.shuffle(self._ready)
        sources, targets = zip(*self._ready.pop(), strict=True)
        return padded(sources, PAD), padded(targets, IGNORED)

    def _pair(self, progress: float, longest: int) -> Pair:
        draw = self._rng.random()
        if progress < COPYING or draw < 0.1:
            return self._copied()
        if progress < FILLING and draw < 0.4:
            return self._filled(longest)
        return self._summarized(longest)

    def _copied(self) -> Pair:
        """A piece of text of which the part before the mask, or that between two masks, is to be repeated."""
        text = self._piece(int(self._rng.integers(12, 56)))
        length = int(self._rng.integers(3, min(len(text) - 2, TARGET - 1)))
        start = 0 if self._rng.random() < 0.5 else int(self._rng.integers(len(text) - length))
        span = text[start : start + length]
        before = np.append(text[:start], MASK) if start else text[:0]
        return _closed(np.concatenate([before, span, [MASK], text[start + length :]])), _closed(span)

    def _filled(self, longest: int) -> Pair:
        """A piece of text in which the mask stands for the tokens that are asked for."""
        text = self._piece(longest)
        length = int(self._rng.integers(1, TARGET // 2))
        start = int(self._rng.integers(len(text) - length))
        gap = text[start : start + length]
        return _closed(np.concatenate([text[:start], [MASK], text[start + length :]])), _closed(gap)

    def _summarized(self, longest: int) -> Pair:
        """A pair, its source cut and thinned out, each time in another way."""
        source, target = self._any()
        kept = self._rng.random(len(source)) >= THINNED * self._rng.random()
        return _closed(source[kept][: longest - 1]), target

    def _any(self) -> Pair:
        return (self._long if self._rng.random() < LONG else self._short).draw(self._rng)

    def _piece(self, length: int) -> Ids:
        start = self._rng.integers(len(self._running) - length)
        return self._running[start : start + length]


class _Weighted:
    """Pairs of which those are drawn more often whose target can be told from their source."""

    def __init__(self, pairs: Sequence[tuple[Ids, Ids, float]]) -> None:
        self._pairs = pairs
        self._bounds = np.cumsum([0.1 + share**2 for _, _, share in pairs])

    def draw(self, rng: np.random.Generator) -> Pair:
        """One pair."""
        place = int(np.searchsorted(self._bounds, rng.random() * self._bounds[-1], side="right"))
        return self._pairs[place][:2]


def grounded(source: str, target: str) -> float:
    """Share of the words of the target that begin like one of the source, in 0..1; the commonest words do not count."""
    asked = _stems(target)
    return len(asked & _stems(source)) / len(asked) if asked else 0.0


def padded(rows: Iterable[Ids], value: int) -> torch.Tensor:
    """Rows of different lengths as one int64 tensor [rows, longest]."""
    given = list(rows)
    filled = np.full((len(given), max(map(len, given))), value)
    for place, row in zip(filled, given, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(filled)


def _stems(text: str) -> set[str]:
    return {word[:_STEM] for word in _WORD.findall(text.lower()) if word not in _COMMON}


def _closed(ids: Ids) -> Ids:
    return np.append(ids, EOS)


def _pairs(parts: list[Material], tokenizer: Tokenizer) -> Iterator[tuple[Ids, Ids, float]]:
    found = [item for part in parts for item in part.found if 10 <= len(item.summary) <= 200]
    sources = [f"{words(item.name)}: {item.body[:_BODY]}".strip() for item in found]
    read = tokenizer.encode_batch(sources, add_special_tokens=False)
    asked = tokenizer.encode_batch([item.summary for item in found], add_special_tokens=False)
    for item, source, ids, target in zip(found, sources, read, asked, strict=True):
        if len(target.ids) < TARGET:
            yield np.array(ids.ids[: SOURCE - 1]), _closed(np.array(target.ids)), grounded(source, item.summary)


def _running(parts: list[Material], tokenizer: Tokenizer) -> Ids:
    texts = [text for part in parts for text in (*part.docstrings, *(code[:_CODE] for code in part.code))]
    return np.concatenate([np.array(read.ids) for read in tokenizer.encode_batch(texts, add_special_tokens=False)])
