"""One planted violation for each law about the evaluation of a task makes exactly that law fail."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pytest
import torch

from tgframe import Evaluation, Policy, Sampler, Specification, Task
from tgframe.testing import FakeTask, TaskContract, contract_override

Systems = Iterable[tuple[str, Evaluation]]


@attrs.frozen
class Vowels(FakeTask):
    """Counts completions with an a."""

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        prompts = self.prompts(policy, split, None, generator)
        texts = [group[0] for group in sampler.sample(policy, prompts, 1, generator).texts]
        items = [{"prompt": name, "text": text} for name, text in zip(prompts.ids, texts, strict=True)]
        return self.change(Evaluation({"vowels": sum("a" in text for text in texts) / len(texts)}, items), policy)

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return found

    def systems(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Systems:
        yield "nothing", Evaluation({"vowels": 0.0})
        yield "policy", Vowels().evaluate(policy, sampler, split, generator)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"texts": list(self.texts)}


class TestVowels(TaskContract):
    def make(self) -> Vowels:
        return Vowels()


@attrs.frozen
class ScoresAsText(Vowels):
    """Formats its scores."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, scores={"vowels": f"{found.scores['vowels']:.3f}"})


@attrs.frozen
class NotANumber(Vowels):
    """Divides nothing by nothing."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, scores={"vowels": float("nan")})


@attrs.frozen
class NoScores(Vowels):
    """Has items alone."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, scores={})


@attrs.frozen
class Percents(Vowels):
    """Counts up to a hundred."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, scores={"vowels": 74.3})


@attrs.frozen
class TensorsInItems(Vowels):
    """Puts tensors into the rows of a file."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, items=[{**item, "length": torch.tensor(1)} for item in found.items])


@attrs.frozen
class NamesTheSplit(Vowels):
    """Writes what the engine writes."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, items=[{**item, "split": "dev"} for item in found.items])


@attrs.frozen
class SetsInDetails(Vowels):
    """Has details that JSON cannot hold."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, details={"seen": {1, 2}})


@attrs.frozen
class NoisyScores(Vowels):
    """Scores by chance."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, scores={"vowels": random.Random().random()})


@attrs.frozen
class CountsEvaluations(Vowels):
    """Evaluates differently from time to time."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        return attrs.evolve(found, details={"time": next(TIMES)})


TIMES = itertools.count()


@attrs.frozen
class DrawsGlobally(Vowels):
    """Moves torch's global generator on."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        torch.rand(1)
        return found


@attrs.frozen
class SeedsPython(Vowels):
    """Seeds Python's own generator for everybody."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        random.seed(0)
        return found


@attrs.frozen
class StaysInEvaluation(Vowels):
    """Leaves the policy in evaluation mode."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        assert isinstance(policy, torch.nn.Module)
        policy.eval()
        return found


@attrs.frozen
class LearnsFromTheTest(Vowels):
    """Trains on what it evaluates."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        with torch.no_grad():
            next(iter(policy.trainable())).add_(1e-3)
        return found


@attrs.frozen
class LeavesGradients(Vowels):
    """Adds to the gradients of the next update."""

    def change(self, found: Evaluation, policy: Policy) -> Evaluation:
        next(iter(policy.trainable())).sum().backward()  # type: ignore[no-untyped-call]
        return found


@attrs.frozen
class SecondAfter(Vowels):
    """Calls a baseline what the engine calls the policy."""

    def systems(self, *_: Any) -> Systems:
        yield "after", Evaluation({"vowels": 0.0})


@attrs.frozen
class SameNameTwice(Vowels):
    """Calls two baselines the same."""

    def systems(self, *_: Any) -> Systems:
        yield from [("mean", Evaluation({"vowels": 0.0})), ("mean", Evaluation({"vowels": 1.0}))]


@attrs.frozen
class SystemWithoutScores(Vowels):
    """Has a baseline that was not measured."""

    def systems(self, *_: Any) -> Systems:
        yield "nothing", Evaluation({"vowels": float("inf")})


@attrs.frozen
class NoisyProvenance(Vowels):
    """Says something else at every call."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"read": random.Random().random()}


@attrs.frozen
class SetsInProvenance(Vowels):
    """Says what JSON cannot hold."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"splits": {"train", "dev"}}


MUTATIONS: dict[type[Vowels], str] = {
    ScoresAsText: "evaluates_to_finite_numbers",
    NotANumber: "evaluates_to_finite_numbers",
    NoScores: "evaluates_to_finite_numbers",
    Percents: "scores_are_fractions",
    TensorsInItems: "items_and_details_are_json",
    NamesTheSplit: "items_and_details_are_json",
    SetsInDetails: "items_and_details_are_json",
    NoisyScores: "evaluates_the_same_from_the_same_generator",
    CountsEvaluations: "evaluates_the_same_from_the_same_generator",
    DrawsGlobally: "evaluation_draws_from_the_generator_alone",
    SeedsPython: "evaluation_draws_from_the_generator_alone",
    StaysInEvaluation: "evaluation_leaves_the_policy_alone",
    LearnsFromTheTest: "evaluation_leaves_the_policy_alone",
    LeavesGradients: "evaluation_leaves_the_policy_alone",
    SecondAfter: "other_systems_have_names_of_their_own",
    SameNameTwice: "other_systems_have_names_of_their_own",
    SystemWithoutScores: "other_systems_have_names_of_their_own",
    NoisyProvenance: "provenance_is_json_and_the_same_again",
    SetsInProvenance: "provenance_is_json_and_the_same_again",
}


@pytest.mark.parametrize("task", MUTATIONS, ids=lambda task: task.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    task: type[Vowels], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(TaskContract):
        def make(self) -> Specification[Task]:
            return task()

    assert broken_laws(Contract) == {MUTATIONS[task]}


def test_scores_beyond_one_need_a_reason(broken_laws: Callable[[type], set[str]]) -> None:
    class Explained(TaskContract):
        def make(self) -> Percents:
            return Percents()

        @contract_override(reason="this score has no upper bound")
        def test_scores_are_fractions(self) -> None: ...

    assert broken_laws(Explained) == set()
