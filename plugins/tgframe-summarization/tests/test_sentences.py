"""Sentences by rules, words by rules, leads."""

from __future__ import annotations

import pytest

from tgframe_summarization.lead import Lead
from tgframe_summarization.sentences import sentences


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Ada L. Byron et al. (1843) wrote it.", ["Dr. Ada L. Byron et al. (1843) wrote it."]),
        ("It is 3.5 m, i.e. little. See Fig. 2.", ["It is 3.5 m, i.e. little.", "See Fig. 2."]),
        ('He said "No." She left. (Really.) Yes.', ['He said "No."', "She left.", "(Really.)", "Yes."]),
        ("We use no. 7 of it. Is it? no.", ["We use no. 7 of it.", "Is it? no."]),
        ("The answer is no. We go.", ["The answer is no.", "We go."]),
        (
            "Made in the U.S. of oil. Sold in the U.S. They pay.",
            ["Made in the U.S. of oil.", "Sold in the U.S.", "They pay."],
        ),
        ("a line\n\nand  another. \n", ["a line", "and  another."]),
        ("Wait... What?! Go.", ["Wait...", "What?!", "Go."]),
        ("猫が好き。犬も好き！「はい。」本当？", ["猫が好き。", "犬も好き！", "「はい。」", "本当？"]),  # noqa: RUF001
        ("Это кот. Он спит.", ["Это кот.", "Он спит."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_nothing_but_space_is_lost() -> None:
    text = "Mr. X went. to 3.2! “Why?” asked e.g. nobody… Then: end."
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


def test_leads() -> None:
    text = "The first one. The second one! A third."
    assert Lead().of(text) == text
    assert Lead(2).of(text) == "The first one. The second one!"
    assert Lead(4, "words").of(text) == "The first one. The"
    assert Lead(9, "words").of(text) == text
