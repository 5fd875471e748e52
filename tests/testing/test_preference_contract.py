"""One planted violation for each law of preference sources makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch

from tgframe import Preferences, PreferenceSource, Rollouts
from tgframe.testing import FixedPreference, PreferenceSourceContract, make_rollouts

BrokenLaws = Callable[[type], set[str]]


@attrs.frozen
class Brevity(PreferenceSource):
    """Prefers completions with fewer words."""

    ceiling: int = 50
    """Word count from which every completion is equally long."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        words = [[min(len(text.split()), self.ceiling) for text in group] for group in rollouts.texts]
        return Preferences.from_scores([[-count for count in group] for group in words])


class TestBrevity(PreferenceSourceContract):
    def make(self) -> Brevity:
        return Brevity()


class TestFixedPreference(PreferenceSourceContract):
    def make(self) -> FixedPreference:
        return FixedPreference({"unreadable": None})

    def missing(self) -> Rollouts:
        return make_rollouts((("a b", "a", "unreadable"), ("a", "b c", "unreadable")))


@attrs.frozen
class ShuffledK(Brevity):
    """Hands out the judgments of a group in another order."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values.flip(-1))


@attrs.frozen
class TurnedK(Brevity):
    """Is off by one."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values.roll(1, -1))


@attrs.frozen
class UnseededNoise(Brevity):
    """Adds noise that nobody can repeat."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values + random.random())


@attrs.frozen
class NoiseAtBuilding(Brevity):
    """Adds noise that is drawn once a part."""

    def build(self, context: Any) -> Any:
        class Part(Brevity):
            noise = random.random()

            def judge(self, rollouts: Rollouts) -> Preferences:
                right = super().judge(rollouts)
                return attrs.evolve(right, values=right.values + self.noise)

        return Part()


@attrs.frozen
class ReadsPadding(Brevity):
    """Counts tokens where it should count real ones."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return Preferences.from_scores((rollouts.tokens.sum(-1) / 1000).tolist())


@attrs.frozen
class ReadsWidth(Brevity):
    """Divides by the width of the block."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return Preferences.from_scores((rollouts.lengths / rollouts.tokens.shape[-1]).tolist())


@attrs.frozen
class ReadsPromptPadding(Brevity):
    """Mixes the padding of the prompt in."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return Preferences.from_scores((rollouts.lengths + rollouts.prompts.tokens.shape[1]).tolist())


@attrs.frozen
class ComparesPrompts(Brevity):
    """Centres judgments over all prompts of a call."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values - right.values.mean())


@attrs.frozen
class ForgetsPrompts(Brevity):
    """Judges the first prompt and hands that to all."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values[:1].expand_as(right.values).contiguous())


@attrs.frozen
class WrongShape(Brevity):
    """Returns one judgment too few."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return super().judge(rollouts).select(torch.zeros(len(rollouts.prompts), rollouts.k - 1, dtype=torch.int64))


@attrs.frozen
class NotANumber(Brevity):
    """Divides nothing by nothing."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values * torch.nan)


@attrs.frozen
class PlainNumbers(Brevity):
    """Returns a tensor."""

    def judge(self, rollouts: Rollouts) -> Any:
        return super().judge(rollouts).values


@attrs.frozen
class SaysRank(Brevity):
    """Says that it ranks."""

    def provides(self) -> frozenset[str]:
        return frozenset({"rank"})


@attrs.frozen
class SaysFeatures(Brevity):
    """Promises features that it does not have."""

    def provides(self) -> frozenset[str]:
        return frozenset({"score", "features"})


@attrs.frozen
class WritesTokens(Brevity):
    """Overwrites the tokens that it was given."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        rollouts.tokens.fill_(0)
        return super().judge(rollouts)


@attrs.frozen
class WritesColumns(Brevity):
    """Writes its judgments down in the columns of the prompts."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        columns: Any = rollouts.prompts.columns
        columns["judged"] = [True] * len(rollouts.prompts)
        return super().judge(rollouts)


@attrs.frozen
class DoublePrecision(Brevity):
    """Returns float64."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, values=right.values.double())


@attrs.frozen
class SeedsGlobally(Brevity):
    """Seeds torch for everybody."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        torch.manual_seed(0)
        return super().judge(rollouts)


@attrs.frozen
class ForgetsItsSources(Brevity):
    """Mixes two sources and turns one of them."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        right = super().judge(rollouts)
        return attrs.evolve(right, sources={"turned": attrs.evolve(right, values=right.values.roll(1, -1))})


@attrs.frozen
class MonitorsText(Brevity):
    """Monitors what is no number."""

    def monitors(self) -> Any:
        return {"state": "well"}


@attrs.frozen
class CountsDown(Brevity):
    """Cannot count its calls."""

    @property
    def calls(self) -> int:
        return -1


MUTATIONS = {
    ShuffledK: "order_of_completions_changes_nothing",
    TurnedK: "order_of_completions_changes_nothing",
    UnseededNoise: "judges_the_same_twice",
    NoiseAtBuilding: "judges_the_same_twice",
    ReadsPadding: "padding_changes_nothing",
    ReadsWidth: "padding_changes_nothing",
    ReadsPromptPadding: "padding_changes_nothing",
    ComparesPrompts: "other_prompts_change_nothing",
    ForgetsPrompts: "other_prompts_change_nothing",
    WrongShape: "judges_every_completion",
    NotANumber: "judges_every_completion",
    PlainNumbers: "judges_every_completion",
    SaysRank: "provides_what_it_says",
    SaysFeatures: "provides_what_it_says",
    WritesTokens: "rollouts_are_left_alone",
    WritesColumns: "rollouts_are_left_alone",
    DoublePrecision: "judges_every_completion",
    SeedsGlobally: "draws_from_no_global_generator",
    ForgetsItsSources: "order_of_completions_changes_nothing",
    MonitorsText: "monitors_are_numbers",
    CountsDown: "calls_are_counted_upwards",
}


@pytest.mark.parametrize("source", MUTATIONS, ids=lambda source: source.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    source: type[PreferenceSource], broken_laws: BrokenLaws
) -> None:
    class Contract(PreferenceSourceContract):
        def make(self) -> PreferenceSource:
            return source()

    assert broken_laws(Contract) == {MUTATIONS[source]}


def test_every_law_of_preferences_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(PreferenceSourceContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values(), "missing_stays_missing"}


@attrs.frozen
class ZeroForMissing(PreferenceSource):
    """Gives 0 where it has no judgment."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return Preferences.from_scores(
            [[0.0 if text == "unreadable" else -len(text) for text in group] for group in rollouts.texts]
        )


@attrs.frozen
class OneMissingAllMissing(PreferenceSource):
    """Gives a whole group up where one judgment is missing."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        scores = [[None if text == "unreadable" else -len(text) for text in group] for group in rollouts.texts]
        return Preferences.from_scores([[None] * len(group) if None in group else group for group in scores])


@pytest.mark.parametrize("source", [ZeroForMissing, OneMissingAllMissing])
def test_zero_for_missing_is_found(source: type[PreferenceSource], broken_laws: BrokenLaws) -> None:
    class Contract(PreferenceSourceContract):
        def make(self) -> PreferenceSource:
            return source()

        def missing(self) -> Rollouts:
            return make_rollouts((("some words", "a", "unreadable"), ("b", "more words", "unreadable")))

    assert broken_laws(Contract) == {"missing_stays_missing"}


def test_two_completions_are_too_few_to_see_a_mixed_up_order() -> None:
    class Contract(TestBrevity):
        def rollouts(self) -> Rollouts:
            return make_rollouts((("a", "b c"), ("d", "e f")))

    with pytest.raises(AssertionError, match="three completions"):
        Contract().test_padding_changes_nothing()
