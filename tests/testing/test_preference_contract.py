"""One planted violation for each law of preference sources makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch

from tgframe import Preferences, PreferenceSource, Rollouts
from tgframe.testing import FixedPreference, PreferenceSourceContract, contract_override, make_rollouts

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
class CountsDown(Brevity):
    """Cannot count its calls."""

    @property
    def calls(self) -> int:
        return -1


@attrs.frozen
class Undocumented(Brevity):
    """Has an option that nobody explains."""

    floor: int = 0


@attrs.frozen
class LooseNeeds(Brevity):
    """Answers with a list."""

    def needs(self) -> Any:
        return ["policy_logprobs"]


@attrs.define
class Changeable(PreferenceSource):
    """Can be changed after it was made."""

    def judge(self, rollouts: Rollouts) -> Preferences:
        return Brevity().judge(rollouts)


@attrs.frozen
class Doubling(Brevity):
    """Changes its option whenever it is made."""

    factor: int = attrs.field(default=1, converter=lambda value: value * 2)
    """What it is multiplied by."""


@attrs.frozen
class BuildsNothing(Brevity):
    """Forgets to return its part."""

    def build(self, context: Any) -> Any:
        return None if self.ceiling else self


@attrs.frozen
class StrangeState(Brevity):
    """Keeps a state that no checkpoint can hold."""

    def state_dict(self) -> dict[str, Any]:
        return {"seen": {1, 2}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return


@attrs.frozen
class ForgetfulState(Brevity):
    """Keeps a state that does not come back."""

    def state_dict(self) -> dict[str, Any]:
        return {"seen": random.random()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        return


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
    CountsDown: "calls_are_counted_upwards",
    Undocumented: "every_option_is_documented",
    LooseNeeds: "capabilities_are_well_formed",
    Changeable: "is_a_frozen_class_of_options",
    Doubling: "survives_the_round_trip_through_a_recipe",
    BuildsNothing: "builds_its_interface",
    StrangeState: "state_survives_a_checkpoint",
    ForgetfulState: "state_survives_a_checkpoint",
}


@pytest.mark.parametrize("source", MUTATIONS, ids=lambda source: source.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    source: type[PreferenceSource], broken_laws: BrokenLaws
) -> None:
    class Contract(PreferenceSourceContract):
        def make(self) -> PreferenceSource:
            return source()

    assert broken_laws(Contract) == {MUTATIONS[source]}


def test_every_law_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in dir(PreferenceSourceContract) if name.startswith("test_")}
    elsewhere = {
        "is_registered_where_it_is_installed",  # tests/plugins_example
        "registering_imports_no_torch",  # tests/plugins_example
        "missing_stays_missing",
        "pickles",
        "is_made_the_same_twice",
        "no_law_is_overridden_without_a_reason",
    }
    assert laws == {*MUTATIONS.values(), *elsewhere}


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


def test_a_class_inside_a_function_does_not_pickle(broken_laws: BrokenLaws) -> None:
    @attrs.frozen
    class Local(Brevity):
        """Cannot be found by its name."""

    class Contract(PreferenceSourceContract):
        def make(self) -> Brevity:
            return Local()

    assert broken_laws(Contract) == {"pickles"}


def test_a_different_component_at_every_call_is_found(broken_laws: BrokenLaws) -> None:
    class Contract(PreferenceSourceContract):
        made = 0

        def make(self) -> Brevity:
            self.made += 1
            return Brevity(ceiling=100 + self.made)

    assert broken_laws(Contract) == {"is_made_the_same_twice"}


def test_a_law_cannot_be_silenced_without_a_reason(broken_laws: BrokenLaws) -> None:
    class Silent(TestBrevity):
        def test_padding_changes_nothing(self) -> None:
            pass

    class Removed(TestBrevity):
        test_padding_changes_nothing = None  # type: ignore[assignment]

    class Excused(TestBrevity):
        @pytest.mark.xfail(reason=" ")
        def test_padding_changes_nothing(self) -> None:
            pass

    class Explained(TestBrevity):
        @contract_override(reason="padding is what this source judges")
        def test_padding_changes_nothing(self) -> None:
            pass

    guard = "no_law_is_overridden_without_a_reason"
    assert broken_laws(Silent) == {guard}
    with pytest.raises(AssertionError, match="test_padding_changes_nothing"):
        Removed().test_no_law_is_overridden_without_a_reason()
    assert broken_laws(Excused) == {guard}
    assert broken_laws(Explained) == set()


def test_the_guard_itself_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match="must not override the guard"):
        type("Sneaky", (PreferenceSourceContract,), {"test_no_law_is_overridden_without_a_reason": lambda self: None})


def test_two_completions_are_too_few_to_see_a_mixed_up_order() -> None:
    class Contract(TestBrevity):
        def rollouts(self) -> Rollouts:
            return make_rollouts((("a", "b c"), ("d", "e f")))

    with pytest.raises(AssertionError, match="three completions"):
        Contract().test_padding_changes_nothing()
