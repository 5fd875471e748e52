"""The embedded encoder-decoder summarises unseen rows better than their first words do."""

from __future__ import annotations

import pytest

from tgframe_embedded import corpus
from tgframe_embedded.locate import FOLDER
from tgframe_embedded.packages import DEFAULT_PACKAGES
from tgframe_embedded.summaries import LEADS, Summarizer, lead, mean_rouge1, rouge1

ROWS = 200


@pytest.fixture(scope="module")
def rows() -> list[corpus.Row]:
    return corpus.pairs(DEFAULT_PACKAGES, "dev")[:ROWS]


@pytest.fixture(scope="module")
def summarizer() -> Summarizer:
    return Summarizer(FOLDER / "seq2seq")


@pytest.mark.parametrize(
    ("wanted", "written", "expected"),
    [
        ("Sort the values.", "sort the values", 1.0),
        ("a b c d", "a b", 2 / 3),
        ("a a b", "a a a", 2 / 3),
        ("a b", "c d", 0.0),
        ("a", "", 0.0),
    ],
)
def test_rouge1_is_the_f_measure_of_shared_words(wanted: str, written: str, expected: float) -> None:
    assert rouge1(wanted, written) == pytest.approx(expected)


def test_lead_is_the_first_words() -> None:
    assert lead("one  two three", 2) == "one two"
    assert lead("one", 2) == "one"


def test_summaries_do_not_depend_on_the_order_of_the_sources(summarizer: Summarizer) -> None:
    sources = ["sort values: Parameters by : str", "add: Returns the sum.", "is connected: G : graph. Returns bool."]
    assert summarizer.summaries(sources[::-1]) == summarizer.summaries(sources)[::-1]


def test_summaries_beat_the_best_lead(summarizer: Summarizer, rows: list[corpus.Row]) -> None:
    assert len(rows) == ROWS
    named = [f"{row['name']}: {row['source']}" for row in rows]
    leads = [
        mean_rouge1(rows, [lead(source, length) for source in sources])
        for length in LEADS
        for sources in (named, [row["source"] for row in rows])
    ]
    assert mean_rouge1(rows, summarizer.summaries(named)) > max(leads)
