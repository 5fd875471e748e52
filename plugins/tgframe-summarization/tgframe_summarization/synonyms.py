"""Where METEOR finds synonyms: nowhere, or in WordNet."""

from __future__ import annotations

from typing import Any

from tgframe import DataError


class _Nowhere:
    """Stands in for nltk's reader of WordNet where there is none."""

    def synsets(self, word: str) -> list[Any]:
        """Return no sets of synonyms."""
        return []


def no_synonyms() -> Any:
    """Return a source that knows no synonyms."""
    return _Nowhere()


def wordnet() -> Any:
    """Return nltk's reader of WordNet.

    Raises :class:`~tgframe.DataError` where its data are not on this machine, or not all of them.
    """
    from nltk.corpus import wordnet as reader  # type: ignore[import-untyped]

    try:
        reader.ensure_loaded()
    except LookupError as error:
        raise DataError(
            "`wordnet` must be false where WordNet is not installed, and nltk finds no data set 'wordnet'. Run "
            "`python -m nltk.downloader wordnet`, or name the folder that holds `corpora/wordnet` in NLTK_DATA."
        ) from error
    except OSError as error:  # other distributions of WordNet lack files that nltk reads
        raise DataError(
            f"`wordnet` needs the whole data set 'wordnet' of nltk, but a file is missing: {error}. Run "
            "`python -m nltk.downloader wordnet`, or write `wordnet: false`."
        ) from error
    return reader
