"""ROUGE and METEOR by hand, against their libraries, and over processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from nltk.tokenize import NLTKWordTokenizer
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

from tgframe import ComponentError, DataError
from tgframe_summarization import synonyms
from tgframe_summarization.scorers import PAYS, Scorers
from tgframe_summarization.scoring import METRICS, ROUGE, Scorer, Scoring, weighted

TEXTS = (
    "The police killed the gunman.",
    "Police kill the gunman, the gunman!",
    "It was 3.5 degrees; nobody slept well. The dogs were barking at the cats' house all night long.",
    "Dogs barked. Cats slept at home.",
    "Une théière naïve ☕ chante.",
    "",
)


def score(summary: str, *targets: str, **options: Any) -> dict[str, float]:
    return Scorer(METRICS, Scoring(**options)).score(summary, targets)


def test_rouge_by_hand() -> None:
    found = score("the cat sat", "the cat sat on the mat")
    assert found["rouge1"] == pytest.approx(2 / 3), "3 of 3 words, 3 of 6"
    assert found["rouge2"] == pytest.approx(4 / 7), "2 of 2 pairs, 2 of 5"
    assert found["rougeL"] == pytest.approx(2 / 3)
    turned = score("the gunman killed police", "police killed the gunman", stemmer=False)
    assert (turned["rouge1"], turned["rougeL"]) == (1.0, 0.5), "the longest common subsequence has two of four words"


def test_stems_are_compared_where_the_options_say_so() -> None:
    assert score("police killed the gunmen", "police kill the gunmen")["rouge1"] == 1.0
    assert score("police killed the gunmen", "police kill the gunmen", stemmer=False)["rouge1"] == 0.75


def test_the_union_of_subsequences_by_hand() -> None:
    target, summary = "w1 w2 w3 w4 w5", "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"
    found = score(summary, target, sentences="newline")["rougeLsum"]
    assert found == pytest.approx(2 * 0.8 * 0.4 / 1.2), "w1 w2 w3 w5: 4 of 5, 4 of 10"


def test_sentences_are_split_or_stand_on_lines() -> None:
    target, summary = "Cats see mice. Dogs eat fish.", "Dogs eat fish. Cats see mice."
    assert score(summary, target)["rougeLsum"] == 1.0
    assert score(summary, target, sentences="newline")["rougeLsum"] == 0.5
    assert score("d e f\na b c", "a b c\nd e f", sentences="newline")["rougeLsum"] == 1.0


def test_meteor_by_hand() -> None:
    assert score("the cat sat on the mat", "the cat sat on the mat")["meteor"] == pytest.approx(1 - 0.5 / 6**3)
    precision, recall, fragments = 1.0, 2 / 3, 1 / 2
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    assert score("the cat", "the cat sat")["meteor"] == pytest.approx((1 - 0.5 * fragments**3) * mean)
    assert score("sat cat the", "the cat sat")["meteor"] == pytest.approx(0.5), "three matches in three pieces"
    assert score("cats", "cat")["meteor"] == pytest.approx(0.5), "a stem matches; one match is one piece"
    assert score("dog", "cat")["meteor"] == 0.0


@pytest.mark.parametrize("summary", TEXTS)
@pytest.mark.parametrize("stemmer", [True, False])
def test_rouge_is_that_of_its_library(summary: str, stemmer: bool) -> None:
    plain = RougeScorer(list(ROUGE), use_stemmer=stemmer)
    for target in TEXTS[:-1]:
        expected = {name: value.fmeasure for name, value in plain.score(target, summary).items()}
        found = score(summary, target, stemmer=stemmer, sentences="newline")
        assert {name: found[name] for name in ROUGE} == pytest.approx(expected)


@pytest.mark.parametrize("summary", TEXTS)
def test_meteor_is_that_of_nltk(summary: str) -> None:
    def words(text: str) -> list[str]:
        return list(NLTKWordTokenizer().tokenize(text))

    none = synonyms.no_synonyms()
    for target in (TEXTS[0], TEXTS[1], TEXTS[4]):  # of one sentence: the splitter has nothing to do
        expected = meteor_score([words(target)], words(summary), wordnet=none)
        if summary not in TEXTS[2:4]:
            assert score(summary, target)["meteor"] == pytest.approx(expected)


def test_several_targets_by_metric() -> None:
    targets = ("the cat sat on the mat", "a b")
    best, mean = score("a cat sat", *targets), score("a cat sat", *targets, targets="mean")
    apart = [score("a cat sat", target) for target in targets]
    for name in METRICS:
        values = [found[name] for found in apart]
        assert best[name] == max(values)
        assert mean[name] == pytest.approx(sum(values) / 2)


def test_an_empty_summary_scores_nothing() -> None:
    for empty in ("", " \n ", "..."):
        found = score(empty, "the cat")
        assert {name: found[name] for name in ROUGE} == dict.fromkeys(ROUGE, 0.0)
        assert found["meteor"] == 0.0


def test_other_scripts_have_words_where_the_options_say_so() -> None:
    assert score("猫が好き", "猫が好き")["rouge1"] == 0.0
    assert score("猫が好き", "猫が嫌い", words="unicode")["rouge1"] == 0.5
    assert score("Это кошка", "это собака", words="unicode")["rouge1"] == 0.5
    assert score("naïve", "na ve")["rouge1"] == 1.0, "to the papers' rule, an accent is a gap"
    assert score("naïve", "na ve", words="unicode")["rouge1"] == 0.0
    assert score("cats ΣΊΣΥΦΟΣ x_y", "cat σίσυφος x y", words="unicode")["rouge1"] == 1.0


def test_weights() -> None:
    assert weighted({"rouge1": 0.5, "rougeL": 0.25, "meteor": 1.0}, {"rouge1": 1, "rougeL": 3}) == 0.3125


def test_wordnet_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nltk.data.path", [])
    with pytest.raises(DataError, match=r"python -m nltk\.downloader wordnet"):
        Scorer(["meteor"], Scoring(wordnet=True))


def test_wordnet_of_which_a_part_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "corpora" / "wordnet").mkdir(parents=True)
    monkeypatch.setattr("nltk.data.path", [str(tmp_path)])
    with pytest.raises(DataError, match=r"the whole data set 'wordnet' of nltk, but a file is missing: .*lexnames"):
        Scorer(["meteor"], Scoring(wordnet=True))


class Thesaurus:
    """A WordNet of one set of synonyms."""

    def synsets(self, word: str) -> list[Any]:
        return [self] if word in ("auto", "car") else []

    def lemmas(self) -> list[Any]:
        return [Lemma("auto"), Lemma("car")]


class Lemma:
    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name


def test_synonyms_match_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert score("auto", "car")["meteor"] == 0.0
    monkeypatch.setattr("tgframe_summarization.scoring.wordnet", Thesaurus)
    assert score("auto", "car", wordnet=True)["meteor"] == 0.5


def pairs(count: int) -> list[tuple[str, Sequence[str]]]:
    return [(TEXTS[row % len(TEXTS)], TEXTS[row % 3 : 4 + row % 2]) for row in range(count)]


def test_processes_are_started_where_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    scorers = Scorers(["rouge1"], Scoring())
    monkeypatch.setattr("tgframe_summarization.scorers._cores", lambda: 3)
    few, many = [("a", ["a", "b"])] * 10, [("a", ["a", "b"])] * (2 * PAYS)
    assert [scorers._wanted(given) for given in (few, many[:PAYS], many)] == [0, 2, 3]
    assert Scorers(["rouge1"], Scoring(workers=1))._wanted(many) == 1
    assert Scorers(["rouge1"], Scoring(workers=8))._wanted(few[:2]) == 2


def test_processes_score_the_same_in_the_same_order() -> None:
    scorers, given = Scorers(METRICS, Scoring(workers=2, words="unicode", targets="mean")), pairs(11)
    assert scorers(given) == Scorers(METRICS, Scoring(workers=1, words="unicode", targets="mean"))(given)
    strange = [("lone \ud800", ["lone \ud800", "x\ny"]), ("é", ["é"])]
    assert scorers(strange)[1]["rouge1"] == 1.0
    assert scorers._workers is not None
    processes = scorers._workers._processes
    assert [process.poll() for process in processes] == [None, None]
    processes[0].kill()
    with pytest.raises(ComponentError, match="Write `workers: 1`"):
        scorers(given)
    scorers.close()
    assert processes[1].poll() == 0, "nothing stays behind"
