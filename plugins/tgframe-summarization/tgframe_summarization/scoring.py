"""ROUGE and METEOR of a summary, by options: what the evaluation and the preferences share."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs
from attrs.validators import ge, in_

from tgframe_summarization.sentences import sentences
from tgframe_summarization.synonyms import no_synonyms, wordnet
from tgframe_summarization.words import AsciiWords, Stemmer, UnicodeWords

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
METEOR = "meteor"
METRICS = (*ROUGE, METEOR)

Several = Literal["best", "mean"]
Pair = tuple[str, Sequence[str]]
"""A summary, and the targets that it is compared with."""


@attrs.frozen
class Scoring:
    """How summaries are compared with targets."""

    stemmer: bool = True
    """ROUGE compares Porter stems, as the papers do; false compares words. METEOR always compares both."""
    words: Literal["ascii", "unicode"] = attrs.field(default="ascii", validator=in_(("ascii", "unicode")))
    """What a word is to ROUGE. ``ascii``: runs of a-z and 0-9, as in the papers, so that text in other scripts has no
    words and scores 0; ``unicode``: runs of letters and digits of any script."""
    sentences: Literal["split", "newline"] = attrs.field(default="split", validator=in_(("split", "newline")))
    """What a sentence is to ``rougeLsum``: ``split`` by rules (see the plugin's page), or what stands on a line."""
    wordnet: bool = False
    """METEOR also matches synonyms. Needs the data set `wordnet` of nltk on this machine."""
    targets: Several = attrs.field(default="best", validator=in_(("best", "mean")))
    """What counts of several targets: the ``best`` score, metric by metric, or their ``mean``."""
    workers: int = attrs.field(default=0, validator=ge(0))
    """Processes that score; 1 scores in this one, 0 takes as many as pay for the number of summaries."""


class Scorer:
    """Scores one summary after the other."""

    def __init__(self, metrics: Sequence[str], scoring: Scoring) -> None:
        self.metrics = tuple(metrics)
        self.scoring = scoring
        stemmer = Stemmer()
        self._rouge = _rouge([name for name in metrics if name != METEOR], scoring, stemmer)
        self._meteor = Meteor(scoring, stemmer) if METEOR in metrics else None

    def score(self, summary: str, targets: Sequence[str]) -> dict[str, float]:
        """Return each metric, a fraction in 0..1; of several targets what counts by the options."""
        found = [self._against(summary, target) for target in targets]
        return {name: together([scores[name] for scores in found], self.scoring.targets) for name in self.metrics}

    def all(self, pairs: Iterable[Pair]) -> list[dict[str, float]]:
        """Return the scores of each pair, in order."""
        return [self.score(summary, targets) for summary, targets in pairs]

    def _against(self, summary: str, target: str) -> dict[str, float]:
        found: dict[str, float] = {}
        if self._rouge is not None:
            rouge = self._rouge.score(self._lines(target), self._lines(summary))
            found |= {name: float(score.fmeasure) for name, score in rouge.items()}
        if self._meteor is not None:
            found[METEOR] = self._meteor.score(summary, target)
        return found

    def _lines(self, text: str) -> str:
        return "\n".join(sentences(text)) if self.scoring.sentences == "split" else text


class Meteor:
    """METEOR of nltk, on words as `word_tokenize` makes them of our sentences."""

    def __init__(self, scoring: Scoring, stemmer: Stemmer) -> None:
        from nltk.tokenize import NLTKWordTokenizer  # type: ignore[import-untyped]

        self._tokenizer = NLTKWordTokenizer()
        self._stemmer = stemmer
        self._synonyms = wordnet() if scoring.wordnet else no_synonyms()

    def score(self, summary: str, target: str) -> float:
        """Return a fraction in 0..1."""
        from nltk.translate.meteor_score import single_meteor_score  # type: ignore[import-untyped]

        words, goal = self._words(summary), self._words(target)
        return float(single_meteor_score(goal, words, stemmer=self._stemmer, wordnet=self._synonyms))

    def _words(self, text: str) -> list[str]:
        return [word for sentence in sentences(text) for word in self._tokenizer.tokenize(sentence)]


def together(scores: Sequence[float], several: Several) -> float:
    """Return what counts of the scores against several targets."""
    return max(scores) if several == "best" else statistics.fmean(scores)


def weighted(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the mean of ``scores`` by ``weights``."""
    return sum(weight * scores[name] for name, weight in weights.items()) / sum(weights.values())


def _rouge(metrics: Sequence[str], scoring: Scoring, stemmer: Stemmer) -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

    if not metrics:
        return None
    words = AsciiWords if scoring.words == "ascii" else UnicodeWords
    return RougeScorer(list(metrics), tokenizer=words(stemmer if scoring.stemmer else None))
