from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from tgframe_judge.tournament import pairings, seeded, shares, windows


def texts(count: int) -> list[str]:
    return sorted(f"text {number}" for number in range(count))


def test_the_order_is_drawn_from_all_texts_and_the_salt() -> None:
    order = seeded(texts(8), "prompt")
    assert sorted(order) == list(range(8))
    named = [texts(8)[place] for place in order]
    shuffled = texts(8)
    random.Random(0).shuffle(shuffled)
    assert [shuffled[place] for place in seeded(shuffled, "prompt")] == named
    assert seeded(texts(8), "other") != order
    without = seeded(texts(7), "prompt")
    assert without != [place for place in order if place < 7]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8])
@pytest.mark.parametrize("rounds", [None, 1, 2, 3, 20])
def test_matchings(count: int, rounds: int | None) -> None:
    found = pairings("prompt", texts(count), rounds)
    pairs = [frozenset(pair) for pair in found]
    every = {frozenset(pair) for pair in itertools.combinations(range(count), 2)}
    assert len(set(pairs)) == len(pairs)
    assert set(pairs) <= every
    assert set(itertools.chain.from_iterable(pairs)) == set(range(count)), "nobody is left out"
    total = count - 1 + count % 2
    if rounds is None or rounds >= total:
        assert set(pairs) == every
    elif rounds > 1 or count % 2 == 0:
        assert len(pairs) == rounds * (count // 2)
        games = Counter(itertools.chain.from_iterable(pairs))
        assert max(games.values()) - min(games.values()) <= count % 2


def test_neither_place_is_given_to_the_same_text_in_all_pairs() -> None:
    first = Counter(pair[0] for pair in pairings("prompt", texts(40), None))
    assert 8 < min(first.values()) <= max(first.values()) < 31  # of 39, with a deviation of 3.1


@pytest.mark.parametrize(("count", "window"), [(2, 3), (3, 3), (4, 3), (7, 3), (10, 4), (26, 25), (40, 8)])
def test_windows_show_everybody_once_a_round(count: int, window: int) -> None:
    for rounds in (1, 3):
        found = windows("prompt", texts(count), window, rounds)
        assert Counter(itertools.chain.from_iterable(found)) == dict.fromkeys(range(count), rounds)
        sizes = {len(each) for each in found}
        assert 2 <= min(sizes) <= max(sizes) <= window
        assert max(sizes) - min(sizes) <= 1


def test_rounds_shuffle_anew_and_default_to_meeting_as_many_as_there_are() -> None:
    assert len(windows("prompt", texts(9), None, None)) == 1
    assert len(set(windows("prompt", texts(9), None, 4))) == 4
    assert len(windows("prompt", texts(9), 3, None)) == 4 * 3


def test_shares_are_those_of_a_full_ranking() -> None:
    assert shares(4, [[{0: 0, 1: 1, 2: 1, 3: 2}]]) == [1.0, 0.5, 0.5, 0.0]


def test_shares_over_windows_estimate_the_share_against_all() -> None:
    count, rounds = 12, 200
    found = shares(count, [[{place: place for place in each}] for each in windows("p", texts(count), 4, rounds)])
    expected = [1 - place / (count - 1) for place in range(count)]
    assert found == pytest.approx(expected, abs=0.06)  # deviation below 0.5 / sqrt(600) = 0.02


def test_a_biased_judge_ties_in_both_orders() -> None:
    order = [2, 0, 1]
    one = {place: rank for rank, place in enumerate(order)}
    other = {place: rank for rank, place in enumerate(reversed(order))}
    assert shares(3, [[one, other]]) == [0.5, 0.5, 0.5]


def test_what_is_not_answered_in_full_does_not_count() -> None:
    assert shares(2, [[{0: 0, 1: 1}, None]]) == [None, None]
    assert shares(3, [[{0: 0, 1: 1}], [None]]) == [1.0, 0.0, None]
    assert shares(3, [[{0: 0, 1: 1, 2: 2}, {0: 0, 1: 1}]]) == [1.0, 0.0, None]
    assert shares(2, []) == [None, None]


def test_equal_shares_are_equal_numbers() -> None:
    games = [[{0: 0, 1: 1}], [{0: 0, 2: 0}], [{0: 1, 3: 0}], [{1: 0, 2: 0}], [{1: 0, 3: 1}], [{2: 0, 3: 0}]]
    assert shares(4, games) == [0.5, 0.5, 0.5, 0.5]
