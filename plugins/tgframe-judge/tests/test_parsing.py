from __future__ import annotations

import pytest

from tgframe_judge.parsing import legal, parse
from tgframe_judge.prompting import labels


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("RANKING: B > A = C", ((1,), (0, 2))),
        ("RANKING: C = A = B", ((0, 1, 2),)),
        ("First B, I think.\n\n**RANKING:** B>A>C\n", ((1,), (0,), (2,))),
        ("RANKING: B > C", ((1,), (2,))),
        ("`RANKING: A > B > C`\nAs I said:\nRANKING: A > B > C", ((0,), (1,), (2,))),
    ],
)
def test_rankings_are_read(reply: str, verdict: object) -> None:
    assert parse("listwise", reply, 3) == verdict


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "B is best.",
        "ranking: A > B > C",
        "My RANKING: A > B > C",
        "RANKING:",
        "RANKING: A",
        "RANKING: A > D",
        "RANKING: a > b",
        "RANKING: A > B > A",
        "RANKING: A = B = A",
        "RANKING: A > B >",
        "RANKING: A >> B",
        "RANKING: A, B, C",
        "RANKING: A > B > C because",
        "RANKING: A > B > C\nRANKING: C > B > A",
        "RANKING: A > B > C\nRANKING: none",
        "BETTER: A",
    ],
)
def test_what_is_no_ranking_is_refused(reply: str) -> None:
    assert parse("listwise", reply, 3) is None


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [("BETTER: A", ((0,), (1,))), ("Hm.\n*BETTER: B*", ((1,), (0,))), ("BETTER: TIE", ((0, 1),))],
)
def test_pairs_are_read(reply: str, verdict: object) -> None:
    assert parse("pairwise", reply, 2) == verdict


@pytest.mark.parametrize(
    "reply", ["", "A", "BETTER: C", "BETTER: A B", "BETTER: tie", "BETTER: A\nBETTER: B", "RANKING: A > B"]
)
def test_what_names_no_better_one_is_refused(reply: str) -> None:
    assert parse("pairwise", reply, 2) is None


def test_labels_go_on_after_z() -> None:
    names = labels(703)
    assert [names[i] for i in (0, 25, 26, 27, 51, 52, 701, 702)] == ["A", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]
    assert len(set(names)) == 703
    line = " > ".join(reversed(names[:60]))
    assert parse("listwise", f"RANKING: {line}", 60) == tuple((place,) for place in reversed(range(60)))
    assert parse("listwise", "RANKING: AA > A", 26) is None


@pytest.mark.parametrize(
    "value", [None, 3, "ab", {}, [], [[0]], [0, 1], [[0], []], [[0], [2]], [[0], [0]], [[0], [True]], [[-1], [0]]]
)
def test_damaged_verdicts_are_not_legal(value: object) -> None:
    assert legal(value, 2) is None
    assert legal([[1], [0]], 2) == ((1,), (0,))
