"""Documents for the causal model: docstrings, code, and the phrases that lead to a package name, packed into rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from tokenizers import Tokenizer

from tgframe_embedded.masking import giveaways, masked
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.phrases import MENTIONS, TELLING
from tgframe_embedded.training.tokenizer import BOS, EOS

LENGTH = 128
_CODE_LIMIT = 6000


class Documents:
    """Draws rows of LENGTH + 1 tokens from one long stream of shuffled documents, each between <s> and </s>."""

    def __init__(self, material: Iterable[Material], tokenizer: Tokenizer, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        texts = list(_texts(list(material), self._rng))
        self._rng.shuffle(texts)
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
        stream = np.concatenate([np.array([BOS, *found.ids, EOS], dtype=np.int64) for found in encoded])
        self._rows = stream[: len(stream) // LENGTH * LENGTH].reshape(-1, LENGTH)

    @property
    def tokens(self) -> int:
        """Length of the stream."""
        return int(self._rows.size)

    def batch(self, rows: int) -> torch.Tensor:
        """Return token ids, int64 [rows, LENGTH]."""
        return torch.from_numpy(self._rows[self._rng.integers(len(self._rows), size=rows)])


def _texts(material: list[Material], rng: np.random.Generator) -> Iterator[str]:
    pattern = giveaways(part.package for part in material)
    for part in material:
        for text in part.docstrings:
            yield text
            yield _led(masked(text, pattern), part.package, rng)
            yield _piece(text, rng)
        for code in part.code[::4]:
            yield code[:_CODE_LIMIT]


def _led(text: str, package: str, rng: np.random.Generator) -> str:
    """The start of a text and a phrase with a name, or in one case of four the phrase alone."""
    phrases = TELLING if rng.random() < 0.7 else MENTIONS
    phrase = f"{phrases[rng.integers(len(phrases))]} {package}"
    start = " ".join(text.split()[: rng.integers(6, 33)])
    return phrase if rng.random() < 0.25 else start + phrase


def _piece(text: str, rng: np.random.Generator) -> str:
    """A text from some word on, with its space before it: documents may begin anywhere in a sentence."""
    words = text.split()
    return " " + " ".join(words[rng.integers(len(words)) :][:40])
