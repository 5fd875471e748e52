"""One planted violation for each law about the prompts of a task makes exactly that law fail."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import pytest
import torch

from tgframe import (
    Context,
    DataError,
    Decoding,
    Evaluation,
    Policy,
    Prompts,
    Rollouts,
    Sampler,
    Specification,
    Task,
)
from tgframe.testing import EchoSampler, FakeTask, PlainSampler, TaskContract

ROWS = {
    "train": (("one", "1"), ("two words", "2"), ("now three words", "3"), ("", "4"), ("five", "5")),
    "test": (("six", "6"), ("seven and more", "7")),
}


@attrs.frozen
class Digits(Specification[Task]):
    """Asks for the digit of a text; draws in shuffled passes over the rows."""

    mistake: str = "DigitsPart"
    """Class of the part."""

    def provides(self) -> frozenset[str]:
        return frozenset({"targets"})

    def build(self, context: Context) -> Any:
        return globals()[self.mistake]()


class DigitsPart(Task):
    def __init__(self) -> None:
        self.order: list[int] = []

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        if split not in ROWS:
            raise DataError(f"There is no split {split!r}. Name one of {', '.join(ROWS)}.")
        rows = range(len(ROWS[split])) if count is None else self.draw(split, count, generator)
        return self.made(policy, split, list(rows))

    def draw(self, split: str, count: int, generator: torch.Generator) -> list[int]:
        """Take the next rows of a shuffled pass; only the training rows have a place to remember."""
        order = self.order if split == "train" else []
        while len(order) < count:
            order += torch.randperm(len(ROWS[split]), generator=generator).tolist()
        taken = order[:count]
        del order[:count]
        return taken

    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        texts = [ROWS[split][row][0] for row in rows]
        prompts = policy.encode(texts, [self.name(split, row) for row in rows], split=split)
        targets = policy.complete(prompts, [[ROWS[split][row][1], "number"] for row in rows])
        return attrs.evolve(prompts, columns={"row": rows}, targets=targets)

    def name(self, split: str, row: int) -> str:
        return f"{split}/{row}"

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        prompts = self.prompts(policy, split, None, generator)
        texts = [group[0] for group in sampler.sample(policy, prompts, 1, generator).texts]
        items = [{"prompt": name, "text": text} for name, text in zip(prompts.ids, texts, strict=True)]
        return Evaluation({"vowels": sum("a" in text for text in texts) / len(texts)}, items, {"texts": texts})

    def systems(
        self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator
    ) -> Iterable[tuple[str, Evaluation]]:
        yield "nothing", Evaluation({"vowels": 0.0})
        yield "policy", self.evaluate(policy, sampler, split, generator)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return {"rows": {split: len(rows) for split, rows in ROWS.items()}}

    def state_dict(self) -> dict[str, Any]:
        return {"order": list(self.order)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.order = list(state["order"])


class TestFake(TaskContract):
    def make(self) -> FakeTask:
        return FakeTask()


class DigitsContract(TaskContract):
    def make(self) -> Digits:
        return Digits()

    def splits(self) -> tuple[str, ...]:
        return ("train", "test")


class TestDigits(DigitsContract):
    pass


class OneTooMany(DigitsPart):
    def draw(self, split: str, count: int, generator: torch.Generator) -> list[int]:
        return super().draw(split, count + 1, generator)


class AtMostAllRows(DigitsPart):
    def draw(self, split: str, count: int, generator: torch.Generator) -> list[int]:
        return super().draw(split, count, generator)[: len(ROWS[split])]


class SaysTrain(DigitsPart):
    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        return attrs.evolve(super().made(policy, split, rows), split="train")


class ShufflesAll(DigitsPart):
    """Shuffles where all rows were asked for in order."""

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        found = super().prompts(policy, split, count, generator)
        return found.rows(torch.randperm(len(found), generator=generator).tolist()) if count is None else found


class MovesOn(DigitsPart):
    """Draws a number that nobody needs."""

    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        torch.rand(1, generator=generator)
        return super().prompts(policy, split, count, generator)


class IdsOfTheBatch(DigitsPart):
    """Counts the rows of a batch anew."""

    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        ids = tuple(f"{split}/{place}" for place in range(len(rows)))
        return attrs.evolve(super().made(policy, split, rows), ids=ids)


class IdsWithoutSplit(DigitsPart):
    """Gives the rows of both splits the same ids."""

    def name(self, split: str, row: int) -> str:
        return str(row)


class CutsToTheBatch(DigitsPart):
    """Cuts every prompt to the shortest of its batch."""

    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        found = super().made(policy, split, rows)
        width = int(found.mask.sum(-1).min()) if len(rows) < 3 else found.mask.shape[1]
        start = found.mask.shape[1] - width
        return attrs.evolve(found, tokens=found.tokens[:, start:], mask=found.mask[:, start:])


class TargetsOfTheNext(DigitsPart):
    """Hands the targets on by one prompt."""

    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        found = super().made(policy, split, rows)
        assert found.targets is not None
        turned = found.targets.rows([*range(1, len(rows)), 0])
        return attrs.evolve(found, targets=attrs.evolve(turned, prompts=found.targets.prompts))


class DrawsFreshly(DigitsPart):
    def draw(self, split: str, count: int, generator: torch.Generator) -> list[int]:
        return super().draw(split, count, torch.Generator().manual_seed(random.Random().getrandbits(40)))


class ShufflesGlobally(DigitsPart):
    """Seeds Python's own generator, and so every other part of the run."""

    def draw(self, split: str, count: int, generator: torch.Generator) -> list[int]:
        random.seed(int(torch.randint(2**40, (1,), generator=generator)))
        return super().draw(split, count, generator)


class ForgetsItsPlace(DigitsPart):
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.order = []

    def state_dict(self) -> dict[str, Any]:
        return {}


class PadsOnTheRight(DigitsPart):
    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        found = super().made(policy, split, rows)
        tokens, mask = (torch.nn.functional.pad(part, (0, 1)) for part in (found.tokens, found.mask))
        return attrs.evolve(found, tokens=tokens, mask=mask)


class UnknownTokens(DigitsPart):
    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        found = super().made(policy, split, rows)
        return attrs.evolve(found, tokens=found.tokens + len(policy.tokenizer) * found.mask)


class NoTargets(DigitsPart):
    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        return attrs.evolve(super().made(policy, split, rows), targets=None)


class TargetsOnTheRight(DigitsPart):
    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        found = super().made(policy, split, rows)
        assert found.targets is not None
        tokens, mask = (torch.nn.functional.pad(part, (1, 0)) for part in (found.targets.tokens, found.targets.mask))
        return attrs.evolve(found, targets=attrs.evolve(found.targets, tokens=tokens, mask=mask))


class OneWithoutTarget(DigitsPart):
    def made(self, policy: Policy, split: str, rows: list[int]) -> Prompts:
        found = super().made(policy, split, rows)
        assert found.targets is not None
        kept = torch.tensor([row != 1 for row in rows]).reshape(-1, 1, 1)
        return attrs.evolve(found, targets=attrs.evolve(found.targets, mask=found.targets.mask & kept))


class KeyErrorForSplit(DigitsPart):
    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        assert ROWS[split]
        return super().prompts(policy, split, count, generator)


class SilentAboutSplits(DigitsPart):
    def prompts(self, policy: Policy, split: str, count: int | None, generator: torch.Generator) -> Prompts:
        try:
            return super().prompts(policy, split, count, generator)
        except DataError:
            raise DataError(f"There is no split {split!r}.") from None


class EvaluatesAnywhere(DigitsPart):
    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        return super().evaluate(policy, sampler, split if split in ROWS else "test", generator)


class BansTheUnknown(DigitsPart):
    def decoding(self, policy: Policy) -> Decoding:
        return Decoding(banned=frozenset({len(policy.tokenizer)}))


class DrawsForTheTest(DigitsPart):
    """Takes training rows as examples for the evaluation."""

    def evaluate(self, policy: Policy, sampler: Sampler, split: str, generator: torch.Generator) -> Evaluation:
        found = super().evaluate(policy, sampler, split, generator)
        self.order = self.order[1:] or [3]
        return found


MUTATIONS: dict[type[DigitsPart], str] = {
    OneTooMany: "returns_as_many_prompts_as_asked_for",
    AtMostAllRows: "returns_as_many_prompts_as_asked_for",
    SaysTrain: "returns_as_many_prompts_as_asked_for",
    ShufflesAll: "all_prompts_come_in_order_and_without_chance",
    MovesOn: "all_prompts_come_in_order_and_without_chance",
    IdsOfTheBatch: "drawn_prompts_are_rows_of_the_split",
    IdsWithoutSplit: "an_id_stands_for_one_prompt",
    CutsToTheBatch: "drawn_prompts_are_rows_of_the_split",
    TargetsOfTheNext: "drawn_prompts_are_rows_of_the_split",
    DrawsFreshly: "draws_the_same_from_the_same_generator",
    ShufflesGlobally: "randomness_comes_from_the_generator_alone",
    ForgetsItsPlace: "draws_go_on_after_a_checkpoint",
    PadsOnTheRight: "prompts_are_padded_on_the_left",
    UnknownTokens: "prompts_are_padded_on_the_left",
    NoTargets: "targets_are_there_where_they_are_promised",
    TargetsOnTheRight: "targets_are_there_where_they_are_promised",
    OneWithoutTarget: "targets_are_there_where_they_are_promised",
    KeyErrorForSplit: "an_unknown_split_is_told",
    SilentAboutSplits: "an_unknown_split_is_told",
    EvaluatesAnywhere: "an_unknown_split_is_told",
    BansTheUnknown: "decoding_speaks_of_the_policys_tokens",
    DrawsForTheTest: "evaluation_leaves_the_draws_alone",
}


@pytest.mark.parametrize("part", MUTATIONS, ids=lambda part: part.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    part: type[DigitsPart], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(DigitsContract):
        def make(self) -> Digits:
            return Digits(part.__name__)

    assert broken_laws(Contract) == {MUTATIONS[part]}


def test_every_law_about_prompts_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(TaskContract) if name.startswith("test_")}
    assert laws - {*MUTATIONS.values()} == {  # tests/testing/test_task_evaluation_contract.py
        "evaluates_to_finite_numbers",
        "scores_are_fractions",
        "items_and_details_are_json",
        "evaluates_the_same_from_the_same_generator",
        "evaluation_draws_from_the_generator_alone",
        "evaluation_leaves_the_policy_alone",
        "other_systems_have_names_of_their_own",
        "provenance_is_json_and_the_same_again",
    }


def test_the_plain_sampler_draws_as_its_generator_says() -> None:
    """An echo would hide an evaluation that ignores its generator."""
    task, policy = FakeTask(), TaskContract().policy()
    prompts = task.prompts(policy, "train", None, torch.Generator())

    def texts(sampler: Sampler, seed: int) -> Rollouts:
        return sampler.sample(policy, prompts, 2, torch.Generator().manual_seed(seed))

    assert texts(PlainSampler(), 0).texts == texts(PlainSampler(), 0).texts != texts(PlainSampler(), 1).texts
    assert texts(EchoSampler(), 0).texts == texts(EchoSampler(), 1).texts
