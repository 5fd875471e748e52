"""The task as a run uses it: the policy's prompt, the evaluation, and searches compared at equal calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch

from tgframe import Context, DataError, Limits, Policy, Prompts, Rollouts, Sampler
from tgframe.testing import PlainDraw, TabularPolicy
from tgframe_prompts.preference import ClassificationGap
from tgframe_prompts.vocabulary import decode, uniform, writable


@attrs.frozen
class Plain(Sampler):
    """Draws prompts of a few tokens."""

    length: int = 4

    def sample(self, policy: Policy, prompts: Prompts, k: int, generator: torch.Generator) -> Rollouts:
        return policy.sample(prompts, k, PlainDraw(), Limits(self.length, self.length), generator)


class Loop:
    """A run in small: some judgments on train, a validation on dev."""

    def __init__(self, task: Any, context: Context, **options: Any) -> None:
        self.task = task
        self.policy = TabularPolicy()
        self.policy.decoding = task.decoding(self.policy)
        self.sampler = Plain()
        self.source = ClassificationGap(**options).build(context)
        self.generator = torch.Generator().manual_seed(0)

    def search(self, rounds: int = 3, k: int = 8) -> None:
        for split in ("train",) * rounds + ("dev",):
            prompts = self.task.prompts(self.policy, split, 1, self.generator)
            self.source.judge(self.sampler.sample(self.policy, prompts, k, self.generator))

    def systems(self) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(1)
        return dict(self.task.systems(self.policy, self.sampler, "test", generator))


@pytest.fixture
def loop(build: Callable[..., Any], context: Context) -> Callable[..., Loop]:
    def make(examples: float = 1.0, **options: Any) -> Loop:
        return Loop(build(**{"policy_prompts": 5, "finalists": 4, **options}), context, examples=examples)

    return make


def test_the_policy_writes_from_nothing(loop: Callable[..., Loop]) -> None:
    run = loop()
    prompts = run.task.prompts(run.policy, "dev", 2, run.generator)
    assert prompts.ids == ("prompt", "prompt")
    assert prompts.tokens.shape == (2, 0)
    assert prompts.split == "dev"
    with pytest.raises(DataError, match="must have a split 'validation'"):
        run.task.prompts(run.policy, "validation", 1, run.generator)


def test_prompts_are_written_in_whole_characters(loop: Callable[..., Loop]) -> None:
    run = loop()
    tokenizer, banned = run.policy.tokenizer, run.policy.decoding.banned
    assert banned == frozenset(range(128, 256))
    tokens = writable(tokenizer)
    assert tokenizer.eos_token_id not in tokens.tolist()
    for token, text in zip(tokens.tolist(), decode(tokenizer, tokens[:, None]), strict=True):
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == [token]


def test_special_tokens_are_banned_but_the_end(tokenizer: Any, loop: Callable[..., Loop]) -> None:
    run = loop()
    run.policy.tokenizer = tokenizer
    banned = run.task.decoding(run.policy).banned
    assert {tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id} <= banned
    assert tokenizer.eos_token_id not in banned
    assert tokenizer.convert_tokens_to_ids("Ã") in banned  # half of é


def test_evaluation_is_the_mean_over_sampled_prompts(loop: Callable[..., Loop]) -> None:
    run = loop()
    found = run.task.evaluate(run.policy, run.sampler, "test", torch.Generator().manual_seed(3))
    prompts = [each["prompt"] for each in found.details["prompts"]]
    assert len(prompts) == 5
    logits = run.task.logits(run.task.report, prompts, "test")
    right = (logits.argmax(-1) == run.task.splits["test"].labels).double()
    assert found.scores["accuracy"] == pytest.approx(right.mean().item())
    assert found.details["std"] == pytest.approx(right.mean(1).std().item())
    assert [item["correct"] for item in found.items] == pytest.approx(right.mean(0).tolist(), abs=1e-4)
    assert {item["label"] for item in found.items} == {"bird", "cat", "dog"}
    assert run.source.calls == 0, "measuring is not searching"
    json.dumps([found.details, found.items])


def test_repeated_prompts_count_as_often_as_they_are_drawn(loop: Callable[..., Loop]) -> None:
    task = loop().task
    one, other = (task.measure([prompt], "test").scores["accuracy"] for prompt in (" a", "é"))
    both = task.measure([" a", " a", "é"], "test").scores["accuracy"]
    assert both == pytest.approx((2 * one + other) / 3)


def test_all_systems_are_there_and_can_be_written(loop: Callable[..., Loop]) -> None:
    run = loop(random_prompts=3)
    run.search()
    found = run.systems()
    assert list(found) == ["no_prompt", "random_mean", "top3", "random_search"]
    assert [len(each.details["prompts"]) for each in found.values()] == [1, 3, 3, 3]
    assert found["no_prompt"].details["prompts"][0]["prompt"] == ""
    json.dumps([[dict(each.scores), each.details, list(each.items)] for each in found.values()])


def test_random_search_can_be_left_out(loop: Callable[..., Loop]) -> None:
    run = loop(random_search=False)
    run.search()
    assert list(run.systems()) == ["no_prompt", "random_mean", "top3"]


@pytest.mark.parametrize("calibrate", ["none", "mean-logit"])
@pytest.mark.parametrize("examples", [1.0, 0.5])
@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_other_searches_spend_exactly_equal_calls(
    loop: Callable[..., Loop], calibrate: str, examples: float, rounds: int
) -> None:
    run = loop(calibrate=calibrate, examples=examples, greedy_search=True)
    run.search(rounds)
    found = run.systems()
    top = found["top3"].details
    assert top["calls"] == run.source.calls > 0
    for other in (found["random_search"].details, found["greedy_search"].details):
        assert other["calls"] == top["calls"]
        assert len(other["finalists"]) == len(top["finalists"]) == 4
        assert not {each["prompt"] for each in other["finalists"]} & {each["prompt"] for each in top["finalists"]}


def test_finalists_are_best_on_train_and_ranked_on_dev(loop: Callable[..., Loop]) -> None:
    run = loop()
    run.search()
    details, task = run.systems()["top3"].details, run.task
    judged = task.search.prompts("train")
    assert details["judged"] == len(judged)
    calls = task.search.calls
    train = dict(zip(judged, task.preference(task.search, judged, "train").tolist(), strict=True))
    names = [each["prompt"] for each in details["finalists"]]
    dev = dict(zip(names, task.preference(task.search, names, "dev").tolist(), strict=True))
    assert task.search.calls == calls
    assert sorted(names) == sorted(sorted(judged, key=train.__getitem__)[-4:])
    assert names == sorted(names, key=dev.__getitem__, reverse=True)
    assert [each["prompt"] for each in details["prompts"]] == names[:3]
    for each in details["finalists"]:
        assert each["train"] == pytest.approx(train[each["prompt"]], abs=1e-4)
        assert each["dev"] == pytest.approx(dev[each["prompt"]], abs=1e-4)
    assert details["dev_preference_of_top"] == pytest.approx(sum(sorted(dev.values())[-3:]) / 3, abs=1e-4)
    assert details["train_preference"] == pytest.approx(max(train.values()), abs=1e-4)


def test_prompts_seen_on_dev_alone_are_no_candidates(loop: Callable[..., Loop]) -> None:
    run = loop()
    run.task.preference(run.task.search, ["only on dev"], "dev")
    run.search()
    assert "only on dev" not in run.task.search.prompts("train")
    assert "only on dev" not in {each["prompt"] for each in run.systems()["top3"].details["finalists"]}


def test_greedy_search_changes_no_other_system(loop: Callable[..., Loop]) -> None:
    found = []
    for greedy in (False, True):
        run = loop(greedy_search=greedy)
        run.search()
        found.append({name: each.details for name, each in run.systems().items()})
    assert found[1].keys() - found[0].keys() == {"greedy_search"}
    assert {name: found[1][name] for name in found[0]} == found[0]


def test_repeated_prompts_are_counted(loop: Callable[..., Loop]) -> None:
    run = loop()
    prompts = run.policy.encode(["", ""], ["prompt", "prompt"], split="train")
    run.source.judge(run.policy.complete(prompts, [[" a", "b", " a"], ["b", "c", "c"]]))
    assert (run.task.asked, len(run.task.search.prompts("train"))) == (6, 3)
    run.search(rounds=1)
    details = run.systems()["top3"].details
    assert details["repeats"] == 6 + 8 + 5 - details["judged"] >= 3
    again = loop()
    again.task.load_state_dict(run.task.state_dict())
    assert again.task.asked == run.task.asked


def test_the_same_seed_finds_the_same(loop: Callable[..., Loop]) -> None:
    results = []
    for _ in range(2):
        run = loop(greedy_search=True)
        run.search()
        results.append([(name, dict(each.scores), each.details) for name, each in run.systems().items()])
    assert results[0] == results[1]


def test_uniform_prompts_have_their_length(loop: Callable[..., Loop]) -> None:
    tokenizer = loop().policy.tokenizer
    tokens = uniform(writable(tokenizer), 20, 5, torch.Generator().manual_seed(0))
    texts = decode(tokenizer, tokens)
    assert [len(text) for text in texts] == [5] * 20
    assert len(set(texts)) == 20


def test_provenance_names_rows_and_verbalizers(loop: Callable[..., Loop]) -> None:
    found = loop().task.provenance
    assert found["rows"] == {"train": 12, "dev": 9, "test": 9}
    assert found["verbalizers"] == {"bird": "bird", "cat": "cat", "dog": "dog"}
    assert found["fingerprint"] == "none"


def test_a_given_prompt_is_measured_with_its_spaces(loop: Callable[..., Loop]) -> None:
    task = loop().task
    (row,) = task.measure([" sings "], "test").details["prompts"]
    assert row["prompt"] == " sings "
    right = task.logits(task.report, [" sings "], "test").argmax(-1) == task.splits["test"].labels
    assert row["accuracy"] == pytest.approx(right.double().mean().item())
    assert task.search.calls == 0
