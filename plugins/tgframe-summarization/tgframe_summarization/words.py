"""Words and stems as the scores count them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_REMEMBERED = 1 << 16
_SPACELESS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts that put no spaces between words."""
_WORDS = re.compile(f"[{_SPACELESS}]|[^\\W_{_SPACELESS}]+")
_SHORT = 3
"""Words of so many letters are not stemmed, as in `rouge-score`."""


class Stemmer:
    """Porter's stemmer with a memory: most words of a text come again and again."""

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer  # type: ignore[import-untyped]

        self.stem: Any = lru_cache(maxsize=_REMEMBERED)(PorterStemmer().stem)


class AsciiWords:
    """The rule of `rouge-score`: runs of a-z and 0-9 are words, everything else stands between them."""

    def __init__(self, stemmer: Stemmer | None) -> None:
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        """Return the words of ``text`` in small letters, stemmed where there is a stemmer."""
        from rouge_score.tokenize import tokenize  # type: ignore[import-untyped]

        found: list[str] = tokenize(text, self.stemmer)
        return found


class UnicodeWords:
    """Runs of letters and digits of any script, single characters of scripts without spaces. English is stemmed."""

    def __init__(self, stemmer: Stemmer | None) -> None:
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        """Return the words of ``text`` in small letters, stemmed where there is a stemmer."""
        return [self._stemmed(word) for word in _WORDS.findall(text.lower())]

    def _stemmed(self, word: str) -> str:
        if self.stemmer is None or len(word) <= _SHORT or not word.isascii():
            return word
        return str(self.stemmer.stem(word))
