"""Rows for the masked model: texts that lead to a package name, and plain running text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
import torch
from tokenizers import Tokenizer

from tgframe_embedded.masking import giveaways, masked
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.phrases import MENTIONS, TELLING
from tgframe_embedded.training.tokenizer import BOS, EOS, MASK, PAD, SPECIAL

IGNORED = -100
LENGTH = 64
_TEXT = 46
_CODE = 3000


Ids = np.ndarray[Any, np.dtype[np.int64]]


@attrs.frozen
class Mixture:
    """Shares of the three kinds of rows; what is left of 1 is plain text."""

    telling: float = 0.45
    """A telling phrase, then the package of the text."""
    mentions: float = 0.20
    """Passing mentions: a phrase after which any package may stand."""
    filler: float = 0.35
    """Share of the telling rows with one to three random tokens before, inside or after the phrase."""
    plain_masked: float = 0.15
    """Share of the tokens of plain text that are to be predicted."""


class Examples:
    """Draws batches of masked-LM rows of LENGTH tokens; knows the ids of every text beforehand."""

    def __init__(self, material: Iterable[Material], tokenizer: Tokenizer, mixture: Mixture, seed: int) -> None:
        parts = list(material)
        self._mixture = mixture
        self._rng = np.random.default_rng(seed)
        self._vocabulary = tokenizer.get_vocab_size()
        self._names = [tokenizer.token_to_id(f"Ġ{part.package}") for part in parts]
        self._telling = [encoded.ids for encoded in tokenizer.encode_batch(list(TELLING), add_special_tokens=False)]
        self._mentions = [encoded.ids for encoded in tokenizer.encode_batch(list(MENTIONS), add_special_tokens=False)]
        pattern = giveaways(part.package for part in parts)
        self._texts = [_ids(tokenizer, (masked(text, pattern) for text in part.docstrings)) for part in parts]
        self._plain = _chunks(tokenizer, parts)
        sizes = np.array([len(texts) for texts in self._texts], dtype=float)
        self._weights = np.sqrt(sizes) / np.sqrt(sizes).sum()

    def batch(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return token ids and labels, both int64 [rows, up to LENGTH]; labels are IGNORED where nothing is asked.

        Texts of one batch are cut at a common length, drawn anew each time, so that little is padded.
        """
        longest = int(self._rng.integers(12, _TEXT + 1))
        drawn = [self._row(longest) for _ in range(rows)]
        width = max(len(ids) for ids, _ in drawn)
        tokens = np.full((rows, width), PAD)
        labels = np.full((rows, width), IGNORED)
        for row, (ids, asked) in enumerate(drawn):
            tokens[row, : len(ids)] = ids
            labels[row, asked] = ids[asked]
            tokens[row, asked] = self._hidden(ids[asked])
        return torch.from_numpy(tokens), torch.from_numpy(labels)

    def _row(self, longest: int) -> tuple[Ids, Ids]:
        kind = self._rng.random()
        if kind < self._mixture.telling:
            return self._told(longest)
        kind -= self._mixture.telling
        if kind < self._mixture.mentions:
            return self._mentioned(longest)
        return self._running(longest)

    def _told(self, longest: int) -> tuple[Ids, Ids]:
        package, text = self._text(longest)
        phrase = self._filled(self._pick(self._telling))
        return self._asking_for_name(text, phrase, self._names[package])

    def _mentioned(self, longest: int) -> tuple[Ids, Ids]:
        _, text = self._text(longest)
        return self._asking_for_name(text, self._pick(self._mentions), self._pick(self._names))

    def _running(self, longest: int) -> tuple[Ids, Ids]:
        if self._rng.random() < 0.5:
            ids = self._plain[self._rng.integers(len(self._plain))]
            ids = np.append(ids[: longest + 5], EOS)
        else:
            ids = np.array([BOS, *self._text(longest)[1], EOS])
        asked = self._rng.random(len(ids)) < self._mixture.plain_masked
        if self._rng.random() < 0.3:
            asked[-2] = True  # the last word, at the place where a template without a prompt has its mask
        asked[0] = asked[-1] = False
        return ids, np.flatnonzero(asked)

    def _text(self, longest: int) -> tuple[int, list[int]]:
        package = int(self._rng.choice(len(self._texts), p=self._weights))
        text = self._texts[package][self._rng.integers(len(self._texts[package]))]
        return package, text[:longest]

    def _asking_for_name(self, text: list[int], phrase: list[int], name: int) -> tuple[Ids, Ids]:
        ids = np.array([BOS, *text, *phrase, name, EOS])
        asked = self._rng.random(len(ids)) < 0.06
        asked[len(text) + 1 :] = False
        asked[0], asked[-2] = False, True
        return ids, np.flatnonzero(asked)

    def _filled(self, phrase: list[int]) -> list[int]:
        if self._rng.random() >= self._mixture.filler:
            return phrase
        filled = list(phrase)
        for token in self._noise(int(self._rng.integers(1, 4))):
            filled.insert(self._rng.integers(len(filled) + 1), token)
        return filled

    def _noise(self, count: int) -> list[int]:
        return [int(token) for token in self._rng.integers(len(SPECIAL), self._vocabulary, count)]

    def _hidden(self, ids: np.ndarray) -> np.ndarray:
        """Nine in ten as <mask>, the others as they are or as some other token."""
        draw = self._rng.random(len(ids))
        strange = self._rng.integers(len(SPECIAL), self._vocabulary, len(ids))
        return np.where(draw < 0.9, MASK, np.where(draw < 0.95, ids, strange))

    def _pick(self, options: list) -> object:
        return options[self._rng.integers(len(options))]


def _ids(tokenizer: Tokenizer, texts: Iterable[str]) -> list[list[int]]:
    encoded = tokenizer.encode_batch([text[:400] for text in texts], add_special_tokens=False)
    return [found.ids[:_TEXT] for found in encoded]


def _chunks(tokenizer: Tokenizer, material: Iterable[Material]) -> np.ndarray:
    """Docstrings and code as rows of LENGTH tokens, <s> first and </s> last."""
    rows = []
    for part in material:
        texts = [*part.docstrings, *(code[:_CODE] for code in part.code)]
        for ids in (found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)):
            full = len(ids) // (LENGTH - 2) * (LENGTH - 2)
            rows += [[BOS, *ids[start : start + LENGTH - 2], EOS] for start in range(0, full, LENGTH - 2)]
    return np.array(rows)
