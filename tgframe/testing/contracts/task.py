"""The laws of tasks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from tgframe.errors import DataError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.context import Context
from tgframe.interfaces.policy import Decoding, Policy
from tgframe.interfaces.sampler import Sampler
from tgframe.interfaces.task import Evaluation, Task
from tgframe.testing.contracts import chance, state
from tgframe.testing.contracts.specification import SpecificationContract
from tgframe.testing.fakes.context import make_context
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.sampler import PlainSampler

NOWHERE = "no-such-split"


class TaskContract(SpecificationContract):
    """What every task keeps to. Write ``make``; where the data lacks a split, ``splits`` too."""

    kind = "task"

    def context(self) -> Context:
        return make_context(cache_dir=self.folder)  # a task is built first: there is no policy yet

    def policy(self) -> Policy:
        """Return the policy that writes for the task, the same at every call."""
        return TabularPolicy()

    def sampler(self) -> Sampler:
        """Return the sampler of evaluations; its draws must depend on the generator."""
        return PlainSampler()

    def splits(self) -> tuple[str, ...]:
        """Return the splits that the task has. The last one is evaluated on."""
        return ("train", "dev", "test")

    def task(self) -> Task:
        """Return the part, freshly built."""
        part = self.part()
        assert isinstance(part, Task)
        return part

    def test_returns_as_many_prompts_as_asked_for(self) -> None:
        self.require(self.test_builds_its_interface)
        policy, task = self.policy(), self.task()
        for split in self.splits():
            rows = len(task.prompts(policy, split, None, chance.seeded()))
            assert rows, f"split {split!r} has no prompts"
            for count in (1, 2, rows + 1):
                found = task.prompts(policy, split, count, chance.seeded())
                assert isinstance(found, Prompts), f"prompts() must return Prompts, not {type(found).__name__}"
                assert len(found) == count, f"{count} prompts were asked for, but there are {len(found)}"
                assert found.split == split, f"prompts of {split!r} say that they are of {found.split!r}"

    def test_all_prompts_come_in_order_and_without_chance(self) -> None:
        self.require(self.test_returns_as_many_prompts_as_asked_for)
        policy, task, generator = self.policy(), self.task(), chance.seeded()
        before = generator.get_state()
        for split in self.splits():
            known = _rows(task.prompts(policy, split, None, generator))
            task.prompts(policy, split, 2, chance.seeded(1))
            assert _rows(task.prompts(policy, split, None, generator)) == known, "asked again, the rows differ"
            assert _rows(self.task().prompts(policy, split, None, generator)) == known, "built again, the rows differ"
        assert torch.equal(generator.get_state(), before), "all rows in order: there is nothing to draw"

    def test_an_id_stands_for_one_prompt(self) -> None:
        self.require(self.test_all_prompts_come_in_order_and_without_chance)
        policy, task = self.policy(), self.task()
        texts: dict[str, str] = {}
        for split in self.splits():
            found = task.prompts(policy, split, None, chance.seeded())
            for name, text in zip(found.ids, found.texts, strict=True):
                assert isinstance(name, str), f"ids are strings, but one is {name!r}"
                assert texts.setdefault(name, text) == text, f"id {name!r} stands for {texts[name]!r} and for {text!r}"

    def test_drawn_prompts_are_rows_of_the_split(self) -> None:
        self.require(self.test_an_id_stands_for_one_prompt)
        policy, task = self.policy(), self.task()
        for split in self.splits():
            known = {row["id"]: row for row in _rows(task.prompts(policy, split, None, chance.seeded()))}
            for count in (1, 2, len(known) + 1):
                for row in _rows(task.prompts(policy, split, count, chance.seeded())):
                    assert row["id"] in known, f"id {row['id']!r} is drawn, but no row of {split!r} has it"
                    assert row == known[row["id"]], f"in another batch, {row['id']!r} is another prompt"

    def test_draws_the_same_from_the_same_generator(self) -> None:
        self.require(self.test_returns_as_many_prompts_as_asked_for)
        assert self._drawn(self.task()) == self._drawn(self.task()), "all randomness must come from `generator`"

    def test_randomness_comes_from_the_generator_alone(self) -> None:
        self.require(self.test_returns_as_many_prompts_as_asked_for)
        policy, task = self.policy(), self.task()
        before = chance.stirred()
        task.prompts(policy, self.splits()[0], 2, chance.seeded())
        assert chance.global_state() == before, "prompts() drew from a global generator"

    def test_draws_go_on_after_a_checkpoint(self) -> None:
        self.require(self.test_state_survives_a_checkpoint, self.test_draws_the_same_from_the_same_generator)
        task, resumed = self.task(), self.task()
        self._drawn(task, counts=(1,))
        if hasattr(task, "state_dict") and hasattr(resumed, "load_state_dict"):
            resumed.load_state_dict(task.state_dict())
        assert self._drawn(resumed, 1) == self._drawn(task, 1), "the place in the rows must be part of state_dict()"

    def test_prompts_are_padded_on_the_left(self) -> None:
        self.require(self.test_returns_as_many_prompts_as_asked_for)
        policy, task = self.policy(), self.task()
        for split in self.splits():
            found = task.prompts(policy, split, None, chance.seeded())
            assert not (found.mask[:, :-1] & ~found.mask[:, 1:]).any(), "completions follow directly: pad on the left"
            _check_vocabulary(found.tokens[found.mask], policy)

    def test_targets_are_there_where_they_are_promised(self) -> None:
        self.require(self.test_returns_as_many_prompts_as_asked_for)
        policy, task = self.policy(), self.task()
        says = "targets" in self.make().provides()
        for split in self.splits():
            prompts = task.prompts(policy, split, None, chance.seeded())
            targets = prompts.targets
            assert says == (targets is not None), f"provides() says targets={says}, but in {split!r} it is otherwise"
            if targets is not None:
                _check_targets(targets, prompts, policy)

    def test_an_unknown_split_is_told(self) -> None:
        self.require(self.test_returns_as_many_prompts_as_asked_for)
        policy, task = self.policy(), self.task()
        for ask in (
            lambda: task.prompts(policy, NOWHERE, 1, chance.seeded()),
            lambda: task.prompts(policy, NOWHERE, None, chance.seeded()),
            lambda: task.evaluate(policy, self.sampler(), NOWHERE, chance.seeded()),
        ):
            with pytest.raises(DataError) as raised:
                ask()
            missing = [split for split in self.splits() if split not in str(raised.value)]
            assert not missing, f"the message must name the splits that exist, {missing} too: {raised.value}"

    def test_decoding_speaks_of_the_policys_tokens(self) -> None:
        self.require(self.test_builds_its_interface)
        policy = self.policy()
        found = self.task().decoding(policy)
        assert isinstance(found, Decoding)
        _check_vocabulary(torch.tensor([*found.prefix, *found.banned], dtype=torch.int64), policy)
        assert len(found.banned) < len(policy.tokenizer), "every token is banned"

    def test_evaluates_to_finite_numbers(self) -> None:
        self.require(self.test_prompts_are_padded_on_the_left, self.test_decoding_speaks_of_the_policys_tokens)
        _check_scores(self.evaluated(self.task()))

    def test_scores_are_fractions(self) -> None:
        for name, value in self._evaluated().scores.items():
            assert 0.0 <= value <= 1.0, f"scores are fractions in 0..1, but {name!r} is {value}"

    def test_items_and_details_are_json(self) -> None:
        _check_written(self._evaluated())

    def test_evaluates_the_same_from_the_same_generator(self) -> None:
        self.require(self.test_evaluates_to_finite_numbers)
        task = self.task()
        first = self.evaluated(task)
        assert _same(self.evaluated(task), first), "evaluated again, the result differs"
        assert _same(self.evaluated(self.task()), first), "built again, the result differs"

    def test_evaluation_draws_from_the_generator_alone(self) -> None:
        self.require(self.test_evaluates_to_finite_numbers)
        task = self.task()
        before = chance.stirred()
        self.evaluated(task)
        assert chance.global_state() == before, "evaluate() drew from a global generator"

    def test_evaluation_leaves_the_policy_alone(self) -> None:
        self.require(self.test_evaluates_to_finite_numbers)
        policy = self.policy()
        assert isinstance(policy, torch.nn.Module)
        policy.train()
        before = {name: value.clone() for name, value in policy.state_dict().items()}
        self.evaluated(self.task(), policy)
        assert policy.training, "evaluate() must leave the policy in training mode where it was"
        assert state.same(dict(policy.state_dict()), before), "evaluate() changed the policy's parameters"
        assert all(parameter.grad is None for parameter in policy.parameters()), "evaluate() left gradients behind"

    def test_evaluation_leaves_the_draws_alone(self) -> None:
        self.require(self.test_evaluates_to_finite_numbers, self.test_draws_the_same_from_the_same_generator)
        interrupted = self.task()
        self.evaluated(interrupted)
        assert self._drawn(interrupted) == self._drawn(self.task()), "after an evaluation, other prompts are drawn"

    def test_other_systems_have_names_of_their_own(self) -> None:
        self.require(self.test_evaluates_to_finite_numbers)
        policy, task = self._prepared(self.task())
        names: list[str] = []
        for name, found in task.systems(policy, self.sampler(), self.splits()[-1], chance.seeded()):
            assert isinstance(name, str)
            assert name not in ("before", "after", *names), f"system {name!r} is there already"
            names.append(name)
            _check_scores(found)
            _check_written(found)

    def test_provenance_is_json_and_the_same_again(self) -> None:
        self.require(self.test_builds_its_interface)
        found = dict(self.task().provenance)
        assert json.loads(_json(found)) == json.loads(_json(dict(self.task().provenance))), "built again, it differs"

    def evaluated(self, task: Task, policy: Policy | None = None) -> Evaluation:
        """Evaluate the policy as a run would: under the task's own decoding."""
        policy, task = self._prepared(task, policy)
        found = task.evaluate(policy, self.sampler(), self.splits()[-1], chance.seeded())
        assert isinstance(found, Evaluation), f"evaluate() must return an Evaluation, not {type(found).__name__}"
        return found

    def _prepared(self, task: Task, policy: Policy | None = None) -> tuple[Policy, Task]:
        policy = policy or self.policy()
        policy.decoding = task.decoding(policy)
        return policy, task

    def _evaluated(self) -> Evaluation:
        self.require(self.test_evaluates_to_finite_numbers)
        return self.evaluated(self.task())

    def _drawn(self, task: Task, seed: int = 0, counts: tuple[int, ...] = (2, 3)) -> list[dict[str, Any]]:
        """Draw batches of ``counts`` prompts of every split."""
        policy, generator = self.policy(), chance.seeded(seed)
        batches = [task.prompts(policy, split, count, generator) for split in self.splits() for count in counts]
        return [row for batch in batches for row in _rows(batch)]


def _rows(prompts: Prompts) -> list[dict[str, Any]]:
    """Return what each prompt is, without its padding."""
    targets = prompts.targets
    return [
        {
            "id": prompts.ids[b],
            "text": prompts.texts[b],
            "tokens": prompts.tokens[b][prompts.mask[b]].tolist(),
            "columns": repr({name: column[b] for name, column in sorted(prompts.columns.items())}),
            "targets": None if targets is None else _targets(targets, b),
        }
        for b in range(len(prompts))
    ]


def _targets(targets: Rollouts, b: int) -> list[tuple[str, list[int]]]:
    """Return the targets of one prompt; those that fill up its group are left out."""
    places = [k for k in range(targets.k) if targets.present[b, k]]
    return [(targets.texts[b][k], targets.tokens[b, k][targets.mask[b, k]].tolist()) for k in places]


def _check_vocabulary(tokens: Tensor, policy: Policy) -> None:
    known = (tokens >= 0) & (tokens < len(policy.tokenizer))
    assert known.all(), f"tokens must be of the policy's vocabulary, but some are {tokens[~known].tolist()[:5]}"


def _check_targets(targets: Rollouts, prompts: Prompts, policy: Policy) -> None:
    assert isinstance(targets, Rollouts), f"targets must be Rollouts, not {type(targets).__name__}"
    assert targets.prompts.ids == prompts.ids, "targets must be those of these prompts, in their order"
    assert not (targets.mask[..., 1:] & ~targets.mask[..., :-1]).any(), "targets are padded on the right"
    assert targets.present.any(-1).all(), "a prompt without a target cannot be learned from"
    _check_vocabulary(targets.tokens[targets.mask], policy)


def _check_scores(found: Evaluation) -> None:
    assert isinstance(found, Evaluation), f"must be an Evaluation, not {type(found).__name__}"
    assert found.scores, "an evaluation has one score at least"
    for name, value in found.scores.items():
        assert isinstance(name, str)
        assert isinstance(value, float), f"score {name!r} must be a float, but is {value!r}"
        assert math.isfinite(value), f"score {name!r} must be finite, but is {value!r}"


def _check_written(found: Evaluation) -> None:
    """Check that ``eval.jsonl`` and ``result.json`` can hold it."""
    for item in found.items:
        assert isinstance(item, Mapping), f"an item is a mapping, but one is {item!r}"
        assert not (taken := {"system", "split"} & item.keys()), f"the engine writes {sorted(taken)} into each item"
        _json(dict(item))
    _json(dict(found.details))


def _json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        pytest.fail(f"must be JSON, but {error}: {value!r}")


def _same(found: Evaluation, expected: Evaluation) -> bool:
    return repr(attrs.asdict(found)) == repr(attrs.asdict(expected))
