"""The preferences `weighted-sum`, `first` and `veto`: values by hand."""

from __future__ import annotations

import attrs
import torch

from tests.builtin.functions import brevity, letters, named, vowels
from tests.builtin.said import FOUR, SOME, TIED, Said, judge, of, shown
from tgframe import Preferences, Rollouts
from tgframe.builtin.preferences.first import First
from tgframe.builtin.preferences.function import Function
from tgframe.builtin.preferences.veto import Veto
from tgframe.builtin.preferences.weighted_sum import WeightedSum
from tgframe.testing import PreferenceSourceContract, make_rollouts

NAN = float("nan")
BREVITY = Function(named(brevity))
VOWELS = Function(named(vowels))
LETTERS = Function(named(letters))


class CompositeContract(PreferenceSourceContract):
    def missing(self) -> Rollouts:
        return make_rollouts((("a b", "a", "unreadable"), ("a", "b c", "unreadable")))


class TestWeightedSum(CompositeContract):
    def make(self) -> WeightedSum:
        return WeightedSum({"brevity": BREVITY, "vowels": VOWELS}, {"brevity": 1.0, "vowels": -0.5})


class TestWeightedSumOfGroups(CompositeContract):
    def make(self) -> WeightedSum:
        return WeightedSum({"brevity": BREVITY, "vowels": VOWELS}, scale="group", missing="all")


class TestWeightedSumOfRanks(CompositeContract):
    def make(self) -> WeightedSum:
        inner = WeightedSum({"brevity": BREVITY, "vowels": VOWELS}, scale="rank")
        return WeightedSum({"both": inner, "vowels": VOWELS}, scale="rank")


class TestFirst(CompositeContract):
    def make(self) -> First:
        return First({"letters": LETTERS, "brevity": BREVITY})

    def rollouts(self) -> Rollouts:
        return make_rollouts((("a", "cd", "efg"), ("a", "b", "cde"), ("b", "bb b", "bbb")))


class TestVeto(CompositeContract):
    def make(self) -> Veto:
        return Veto(BREVITY, by=VOWELS, below=2.0)


class TestVetoWithValue(CompositeContract):
    def make(self) -> Veto:
        return Veto(WeightedSum({"brevity": BREVITY}), by=First({"vowels": VOWELS}), below=2.0, value=-10.0)


def test_sums_by_hand() -> None:
    found = judge(WeightedSum({"four": FOUR, "tied": TIED}), "abc", "dd.")
    assert shown(found) == [[6.0, 7.0, 8.0], [11.0, 11.0, None]]
    assert found.kind == "score"
    found = judge(WeightedSum({"four": FOUR, "tied": TIED}, {"tied": -1.0, "four": 10.0}), "abc")
    assert shown(found) == [[5.0, 15.0, 25.0]]
    assert shown(found.sources["four"]) == [[1.0, 2.0, 3.0]]
    assert shown(found.sources["tied"]) == [[5.0, 5.0, 5.0]]


def test_group_scale_by_hand() -> None:
    found = judge(
        WeightedSum({"four": FOUR, "tied": TIED}, {"four": 2.0, "tied": 9.0}, "group"), "abcd", "aad.", "b..b"
    )
    third = (1 + 1 + 6) / 3
    deviation = ((2 * (1 - third) ** 2 + (6 - third) ** 2) / 3) ** 0.5
    assert found.kind == "rank"
    assert shown(found) == [
        [round(2 * (value - 3) / 3.5**0.5, 4) for value in (1, 2, 3, 6)],
        [*[round(2 * (value - third) / deviation, 4) for value in (1, 1, 6)], None],
        [0.0, None, None, 0.0],
    ]


def test_equal_numbers_have_no_spread() -> None:
    tenth = of("abc", a=0.1, b=0.1, c=0.1)  # whose mean is another number
    assert shown(judge(WeightedSum({"tenth": tenth}, scale="group"), "abc")) == [[0.0, 0.0, 0.0]]


def test_rank_scale_by_hand() -> None:
    found = judge(WeightedSum({"four": FOUR, "tied": TIED}, scale="rank"), "abcd", "bbd.", "a...")
    assert found.kind == "rank"
    assert shown(found) == [
        [0.5, round(1 / 3 + 0.5, 4), round(2 / 3 + 0.5, 4), 1.5],
        [0.75, 0.75, 1.5, None],
        [1.0, None, None, None],
    ]


def test_rank_scale_is_the_borda_count() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(3, 8, generator=generator)
    sources = {str(n): Said(dict(zip("abcdefgh", row.tolist(), strict=True))) for n, row in enumerate(values)}
    found = judge(WeightedSum(sources, scale="rank"), "abcdefgh").values[0]
    torch.testing.assert_close(found, values.argsort(-1).argsort(-1).sum(0) / 7)


def test_what_one_source_misses() -> None:
    sources = {"four": FOUR, "some": SOME}
    assert shown(judge(WeightedSum(sources), "abcd")) == [[11.0, 22.0, None, None]]
    weighted = WeightedSum(sources, {"four": -1.0, "some": 3.0}, missing="all")
    assert shown(judge(weighted, "abcd")) == [[29.0, 58.0, -12.0, -24.0]]
    nothing = WeightedSum({"some": SOME, "none": of("")}, {"some": 0.0, "none": 1.0}, missing="all")
    assert shown(judge(nothing, "ab")) == [[None, None]]
    # A completion that is missing counts in no scale; with `all` every source has a scale of its own.
    assert shown(judge(WeightedSum(sources, scale="rank"), "abcd")) == [[0.0, 2.0, None, None]]
    assert shown(judge(WeightedSum(sources, scale="group"), "abcd")) == [[-2.0, 2.0, None, None]]
    found = judge(WeightedSum(sources, scale="rank", missing="all"), "abcd")
    assert shown(found) == [[0.0, round(1 / 3 + 1, 4), round(2 * 2 / 3, 4), 2.0]]


def test_numbers_off_the_judgments_are_not_read() -> None:
    @attrs.frozen
    class Rest(Said):
        def judge(self, rollouts: Rollouts) -> Preferences:
            right = super().judge(rollouts)
            return attrs.evolve(right, values=right.values.masked_fill(~right.valid, NAN))

    some = Rest({"a": 10.0, "b": 20.0})
    for composite in (
        *(WeightedSum({"some": some}, scale=scale, missing="all") for scale in ("none", "group", "rank")),
        First({"some": some, "silent": of("")}),
        Veto(some, by=some, below=1.0),
    ):
        found = judge(composite, "abc")
        assert found.valid.tolist() == [[True, True, False]]


def test_the_first_that_judges_all_wins_and_later_ones_are_spared() -> None:
    all_but_b = of("abcd", a=1.0, c=3.0, d=4.0)
    only_b = of("abcd", b=20.0)
    last = of("abcd", a=100.0, b=200.0, c=300.0)
    composite = First({"most": all_but_b, "b": only_b, "last": last})
    found = judge(composite, "ac", "ab", "bd", "d.", "bb")
    assert shown(found) == [[1.0, 3.0], [100.0, 200.0], [None, 4.0], [4.0, None], [20.0, 20.0]]
    assert all_but_b.asked == [tuple(f"prompt-{b}" for b in range(5))]
    assert only_b.asked == [("prompt-1", "prompt-2", "prompt-4")]
    assert last.asked == [("prompt-1", "prompt-2")]
    assert shown(found.sources["b"]) == [[None, None], [None, 20.0], [20.0, None], [None, None], [20.0, 20.0]]
    last.asked.clear()
    found = judge(composite, "ac", "..")
    assert last.asked == []
    assert shown(found) == [[1.0, 3.0], [None, None]]
    assert shown(found.sources["last"]) == [[None, None], [None, None]]


def test_of_equally_many_judgments_the_earlier_count() -> None:
    assert shown(judge(First({"a": of("ab", a=1.0), "b": of("ab", b=2.0)}), "ab")) == [[1.0, None]]


def test_first_keeps_what_sources_say_of_their_own_sources() -> None:
    inner = First({"silent": of(""), "four": FOUR})
    found = judge(First({"some": SOME, "inner": inner}), "ab", "cd")
    assert shown(found) == [[10.0, 20.0], [3.0, 6.0]]
    assert shown(found.sources["inner"].sources["four"]) == [[None, None], [3.0, 6.0]]


def test_veto_by_hand() -> None:
    found = judge(Veto(FOUR, by=of("abcd", a=0.4, b=0.5, c=0.1), below=0.5), "abc", "bbd", "ac.")
    assert shown(found) == [[0.0, 2.0, 0.0], [2.0, 2.0, None], [0.0, 0.0, None]]
    assert found.kind == "rank"
    assert found.sources.keys() == {"source", "by"}
    assert shown(found.sources["source"])[0] == [1.0, 2.0, 3.0]
    found = judge(Veto(FOUR, by=of("abcd", a=0.4, b=0.5, c=0.1), below=0.5, value=-7.0), "abc")
    assert shown(found) == [[-7.0, 2.0, -7.0]]
    assert found.kind == "score"


def test_a_vetoed_completion_is_last_whatever_the_scale() -> None:
    large = of("ab", a=3e9, b=3e9)
    values = judge(Veto(large, by=of("ab", a=1.0, b=0.0), below=0.5), "ab").values
    assert values[0, 1] < values[0, 0]


def test_what_the_veto_does_not_see_is_missing() -> None:
    assert shown(judge(Veto(SOME, by=of("abcd", b=1.0, c=0.0), below=0.5), "abcd")) == [[None, 20.0, None, None]]
