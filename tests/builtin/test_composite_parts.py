"""Sources made of other sources: promises, counts, state, and sources and recipes that are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import nn

from tests.builtin.functions import brevity, named, vowels
from tests.builtin.said import FOUR, SOME, Said, judge
from tgframe import ComponentError, DataError, Preferences, PreferenceSource, RecipeError, Rollouts, Specification
from tgframe.builtin.preferences.first import First
from tgframe.builtin.preferences.function import Function
from tgframe.builtin.preferences.veto import Veto
from tgframe.builtin.preferences.weighted_sum import WeightedSum
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import load_plugins
from tgframe.testing import FixedPreference, make_context, make_rollouts


def test_kinds() -> None:
    score, label, rank = FOUR, Said(kind="label"), Said(kind="rank")
    kinds = [
        (First({"a": score, "b": score}), "score"),
        (First({"a": label}), "label"),
        (First({"a": score, "b": label}), "rank"),
        (WeightedSum({"a": label, "b": score}), "score"),
        (WeightedSum({"a": rank, "b": score}, scale="group"), "rank"),
        (WeightedSum({"a": score}, scale="rank"), "rank"),
        (Veto(score, by=label, below=0.0), "rank"),
        (Veto(label, by=score, below=0.0, value=0.0), "label"),
    ]
    for composite, kind in kinds:
        assert composite.provides() == {kind}
        assert composite.build(make_context()).provides() == {kind}


def test_extras_come_from_the_one_who_can_have_given_them() -> None:
    plain, yes, no = (
        FOUR,
        Said(FOUR.said, extras={"demonstration": True}),
        Said(SOME.said, extras={"demonstration": False}),
    )
    assert "demonstration" not in WeightedSum({"a": yes}).provides()
    assert "demonstration" not in First({"a": yes, "b": plain}).provides()
    assert "demonstration" not in Veto(yes, by=no, below=0.0).provides()
    first = First({"some": no, "four": yes})
    assert first.provides() == {"score", "demonstration"}
    found = judge(first, "ab", "cd")
    assert found.demonstration is not None
    assert found.demonstration.tolist() == [[False, False], [True, True]]
    for veto, expected in ((Veto(yes, by=plain, below=0.0), True), (Veto(plain, by=no, below=0.0), False)):
        assert "demonstration" in veto.provides()
        found = judge(veto, "ab")
        assert found.demonstration is not None
        assert found.demonstration.tolist() == [[expected] * 2]


def test_features_of_sources_must_have_one_width() -> None:
    @attrs.frozen
    class Wide(Said):
        width: int = 1

        def judge(self, rollouts: Rollouts) -> Preferences:
            return attrs.evolve(super().judge(rollouts), features=torch.ones(*rollouts.mask.shape[:2], self.width))

    one = Wide(SOME.said, promised=frozenset({"features"}))
    two = Wide(FOUR.said, promised=frozenset({"features"}), width=2)
    assert judge(First({"one": one, "same": one}), "ab", "ab").features is not None
    with pytest.raises(ComponentError, match="must give features of one shape"):
        judge(First({"one": one, "two": two}), "ab", "cd")


@attrs.frozen
class Needy(Said):
    needed: frozenset[str] = frozenset()
    restricted: Mapping[str, frozenset[str]] = attrs.field(factory=dict)

    def needs(self) -> frozenset[str]:
        return self.needed

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return self.restricted


def test_needs_and_restrictions_are_those_of_all_sources() -> None:
    one = Needy(needed=frozenset({"a"}), restricted={"sampler": frozenset({"exact", "offline"})})
    two = Needy(needed=frozenset({"b"}), restricted={"sampler": frozenset({"exact"}), "task": frozenset({"t"})})
    for composite in (WeightedSum({"one": one, "two": two}), First({"one": one, "two": two}), Veto(one, two, 0.0)):
        assert composite.needs() == {"a", "b"}
        assert composite.accepts() == {"sampler": {"exact"}, "task": {"t"}}
    other = Needy(restricted={"sampler": frozenset({"on-policy"})})
    with pytest.raises(ValueError, match=r"sources accept no common sampler: {'one': \['exact', 'offline'\], 'other'"):
        First({"one": one, "other": other})


class Model(nn.Module, PreferenceSource):
    """Judges by a weight, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))
        self.judged = 0

    @property
    def calls(self) -> int:
        return self.judged

    def monitors(self) -> Mapping[str, float]:
        return {"weight": self.weight.item()}

    def judge(self, rollouts: Rollouts) -> Preferences:
        assert not self.training
        self.judged += rollouts.k * len(rollouts.prompts)
        weight = self.weight.item()
        return Preferences.from_scores([[weight * len(text) for text in group] for group in rollouts.texts])


@attrs.frozen
class ModelPreference(Specification[PreferenceSource]):
    """Builds a model."""

    def build(self, context: Any) -> Model:
        return Model()


def test_parts_are_built_counted_and_saved() -> None:
    composite: Any = First({"some": SOME, "model": ModelPreference(), "words": Function(named(brevity))})
    part = composite.build(make_context())
    part.judge(make_rollouts((("a", "b"), ("c", "d"))))
    assert part.calls == 2
    words = {f"words/{name}": 0 for name in ("calls", "failures", "timeouts", "missing")}
    assert part.monitors() == {"some/calls": 0, "model/calls": 2, "model/weight": 1.0, **words}
    state = part.state_dict()
    assert state.keys() == {"model", "words"}
    state["model"]["weight"] = torch.tensor(3.0)
    other = composite.build(make_context())
    other.load_state_dict(state)
    assert other.monitors()["model/weight"] == 3.0


@attrs.frozen
class Raises(Said):
    error: Any = None

    def judge(self, rollouts: Rollouts) -> Preferences:
        if isinstance(self.error, Exception):
            raise self.error
        return self.error  # type: ignore[no-any-return]


def test_what_a_source_raises_names_it() -> None:
    with pytest.raises(DataError, match=r"^source 'outer' \(tgframe .*\): source 'in' \(sha256 .*\): no such row$"):
        judge(First({"outer": WeightedSum({"in": Raises(error=DataError("no such row"))})}), "ab")
    with pytest.raises(KeyError) as caught:
        judge(Veto(FOUR, by=Raises(error=KeyError("x")), below=0.0), "ab")
    (note,) = caught.value.__notes__
    assert note.startswith("It was raised by source 'by' (sha256 ")


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("good", r"must return preferences of the shape \[1, 2\], but returned str instead"),
        (Preferences.from_scores([[1.0]]), r"of the shape \[1, 2\], but returned \[1, 1\] instead"),
        (
            Preferences.from_scores([[1.0, 2.0]], "rank"),
            "`provides` says 'score', but `judge` returned the kind 'rank'",
        ),
        (Preferences.from_scores([[1.0, 2.0]]), "`provides` says 'features', but `judge` returned none"),
    ],
)
def test_sources_that_break_their_promise_are_told(returned: Any, told: str) -> None:
    with pytest.raises(ComponentError, match=rf"source 'bad' .*: .*{told}"):
        judge(WeightedSum({"bad": Raises(error=returned, promised=frozenset({"features"}))}), "ab")


# Mistakes in recipes.

COUNT = {"type": "function", "call": named(brevity)}


@pytest.mark.parametrize(
    ("preference", "told"),
    [
        ({"type": "weighted-sum"}, "`preference.sources` is missing"),
        ({"type": "first", "sources": {}}, "`preference.sources` must not be {}: it names no source"),
        (
            {"type": "first", "sources": {"a/b": COUNT}},
            "must have a name without '/', but one is called 'a/b'",
        ),
        ({"type": "first", "sources": {"a": {"type": "functoin"}}}, "`preference.sources.a.type` must be an installed"),
        (
            {"type": "first", "sources": {"a": COUNT, "b": {"type": "function", "call": "nowhere"}}},
            "`preference.sources.b.call` must not be 'nowhere'",
        ),
        (
            {"type": "weighted-sum", "sources": {"safety": COUNT}, "weights": {"saftey": 1.0}},
            "`preference.weights` must not be {'saftey': 1.0}: there is no source 'saftey'. Did you mean 'safety'?",
        ),
        (
            {"type": "weighted-sum", "sources": {"a": COUNT, "b": COUNT}, "weights": {"a": 1.0}},
            "source 'b' has no weight. Give one to each of: a, b.",
        ),
        ({"type": "weighted-sum", "sources": {"a": COUNT}, "weights": {"a": 0.0}}, "all weights are 0"),
        (
            {"type": "weighted-sum", "sources": {"a": {**COUNT, "kind": "rank"}}},
            "`preference` does not fit together: source 'a' gives ranks, which mean nothing beside other numbers. "
            "Write `scale: group` or `scale: rank`.",
        ),
        (
            {"type": "veto", "source": COUNT, "by": {**COUNT, "kind": "rank"}, "below": 0.5},
            "`preference` does not fit together: `by` gives ranks, which cannot be compared with `below`.",
        ),
        (
            {"type": "veto", "source": {**COUNT, "kind": "rank"}, "by": COUNT, "below": 0.5, "value": 0.0},
            "`source` gives ranks, beside which `value` means nothing. Write `value: null`.",
        ),
    ],
)
def test_mistakes_are_told(preference: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe({"preference": preference}, (), load_plugins(blocked=()))
    assert any(told in mistake for mistake in caught.value.mistakes), caught.value.mistakes


def test_sources_are_in_the_manifest_by_their_paths() -> None:
    composite = Veto(WeightedSum({"words": Function(named(brevity))}), by=Function(named(vowels)), below=0.0)
    found = load_plugins(blocked=()).provenance({"preference": composite})
    names = {path: origin["name"] for path, origin in found.items()}
    assert names == {
        "preference": "veto",
        "preference.source": "weighted-sum",
        "preference.source.sources.words": "function",
        "preference.by": "function",
    }
    assert found["preference.by"]["modules"].keys() == {brevity.__module__}
    assert "modules" not in found["preference"]


def test_fixed_preferences_say_score() -> None:
    assert First({"fixed": FixedPreference()}).kind() == "score"
