"""One planted violation for each law of all components makes exactly that law fail; no law is silenced unexplained."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tgframe import Preferences, PreferenceSource, Rollouts
from tgframe.testing import PreferenceSourceContract, SpecificationContract, contract_override

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


def test_every_law_of_all_components_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(SpecificationContract) if name.startswith("test_")}
    elsewhere = {
        "is_registered_where_it_is_installed",  # tests/plugins_example
        "registering_imports_no_torch",  # tests/plugins_example
        "pickles",
        "is_made_the_same_twice",
        "no_law_is_overridden_without_a_reason",
    }
    assert laws == {*MUTATIONS.values(), *elsewhere}


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


def test_a_law_stands_on_those_that_apply() -> None:
    """A law that is skipped because it does not apply takes no other with it; one that is skipped as unfounded does."""

    class Contract(TestBrevity):
        def test_applies(self) -> None:
            pytest.skip("not to this one")

        def test_fails(self) -> None:
            raise AssertionError("on purpose")

        def test_stands_on_it(self) -> None:
            self.require(self.test_fails)

    Contract().require(Contract().test_applies)
    for law in (Contract().test_fails, Contract().test_stands_on_it):
        with pytest.raises(pytest.skip.Exception, match="test_fails is broken: on purpose"):
            Contract().require(law)
