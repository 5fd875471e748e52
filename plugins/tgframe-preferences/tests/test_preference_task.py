"""The task over files: splits, passes, columns, evaluation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

import tgframe
from tgframe import Context, DataError, Limits, Rollouts
from tgframe.builtin.data import Files
from tgframe.builtin.dataset import DatasetPreference, DatasetSampler
from tgframe.testing import TabularPolicy, TaskContract, make_context
from tgframe_preferences.folds import Folds
from tgframe_preferences.passes import Passes
from tgframe_preferences.task import PreferenceRows
from tgframe_preferences.writing import Writing, draw

HH = Path(tgframe.__file__).parents[2] / "shared" / "data" / "hh-harmless" / "pairs.jsonl.gz"
LETTERS = "abcd"


def write(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def pairs(count: int = 12) -> list[dict[str, Any]]:
    """Rows in which the completion with more a is chosen."""
    return [
        {
            "prompt": "bcd"[row % 3] * (row + 1),
            "chosen": "a" * (1 + row % 3),
            "rejected": "b" * (1 + row % 2),
            "row": row,
        }
        for row in range(count)
    ]


def options(folder: Path, rows: Iterable[dict[str, Any]] | None = None, **more: Any) -> PreferenceRows:
    file = write(folder / "pairs.jsonl", pairs() if rows is None else rows)
    return PreferenceRows(data=Files(train=file), **{"folds": Folds(parts=3, test=0, dev=1), **more})


def build(folder: Path, rows: Iterable[dict[str, Any]] | None = None, **more: Any) -> Any:
    return options(folder, rows, **more).build(make_context(cache_dir=folder / "cache"))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestPreferenceRows(TaskContract):
    def make(self) -> PreferenceRows:
        return options(self.folder)

    def context(self) -> Context:
        return make_context(cache_dir=self.folder / "cache")

    def policy(self) -> TabularPolicy:
        return TabularPolicy(LETTERS)


def test_rows_become_prompts_with_columns(tmp_path: Path) -> None:
    task, policy = build(tmp_path, folds=None), TabularPolicy(LETTERS)
    found = task.prompts(policy, "train", None, seeded())
    assert found.texts[:2] == ("b", "cc")
    assert found.columns["completions"][3] == ("a", "bb")
    assert found.columns["ranks"][0] == (0, 1)
    assert found.columns["labels"][0] == (1.0, 0.0)
    assert list(found.columns["row"]) == list(range(12))
    rollouts = DatasetSampler().sample(policy, found, 2, seeded())
    assert DatasetPreference().judge(rollouts).values.tolist() == [[0.0, -1.0]] * 12


def test_one_prompt_stays_in_one_part_of_the_folds(tmp_path: Path) -> None:
    rows = [{"prompt": f"{'abcd'[row % 4]}", "chosen": "a" * (row + 1), "rejected": "b"} for row in range(40)]
    task = build(tmp_path, [*rows, *pairs(30)])
    prompts = {split: {row.prompt for row in found.values()} for split, found in task.rows.items()}
    assert set(prompts) == {"train", "dev", "test"}
    assert not prompts["train"] & prompts["test"]
    assert not prompts["dev"] & (prompts["test"] | prompts["train"])
    assert sum(len(found) for found in task.rows.values()) == 70


def test_every_part_is_the_test_once() -> None:
    from tgframe_preferences.row import Row

    rows = [Row(str(number), ("a",)) for number in range(50)]
    tests = [Folds(parts=4, test=part).divide(rows)["test"] for part in range(4)]
    assert sorted(row.prompt for test in tests for row in test) == sorted(row.prompt for row in rows)


@pytest.mark.parametrize(("given", "told"), [({"test": 5}, "`test` must be < `parts`"), ({"dev": 0}, "another part")])
def test_folds_that_cannot_be_are_refused(given: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Folds(**given)


def test_a_pass_takes_every_row_once() -> None:
    passes, generator = Passes(), seeded()
    drawn = [passes.take("train", 7, 3, generator) for _ in range(7)]
    flat = [place for batch in drawn for place in batch]
    for start in (0, 7, 14):
        assert sorted(flat[start : start + 7]) == list(range(7))
    assert flat[:7] != flat[7:14]


def test_passes_go_on_from_a_saved_state() -> None:
    passes, generator = Passes(), seeded()
    passes.take("train", 7, 3, generator)
    saved, state = json.loads(json.dumps(passes.state_dict())), generator.get_state()
    expected = [passes.take("train", 7, 3, generator) for _ in range(5)]
    again, other = Passes(), seeded()
    again.load_state_dict(saved)
    other.set_state(state)
    assert [again.take("train", 7, 3, other) for _ in range(5)] == expected


def test_two_readers_have_passes_of_their_own() -> None:
    passes = Passes()
    one = passes.take("train", 6, 3, seeded(1)) + passes.take("train", 6, 3, seeded(1))
    passes.take("train", 6, 5, seeded(2))
    assert sorted(one) == list(range(6))


def test_guidance_is_held_against_the_rows(tmp_path: Path) -> None:
    task, policy = build(tmp_path, folds=None), TabularPolicy(LETTERS)
    a = policy.tokenizer.convert_tokens_to_ids("a")

    def count_a(rollouts: Rollouts) -> torch.Tensor:
        return ((rollouts.tokens == a) & rollouts.mask).sum(-1).float()

    found = task.evaluate_guidance(count_a, policy, DatasetSampler(), "train", seeded())
    assert found.scores["pairwise_accuracy"] == 1.0
    assert found.scores["auc"] == 1.0
    assert found.details["pairs"] == 12
    assert len(found.items) == 12
    live = task.evaluate_guidance(count_a, policy, None, "train", seeded())
    assert live.scores == found.scores, "without a sampler that reads rows, the task reads them itself"
    wrong = task.evaluate_guidance(lambda rollouts: -count_a(rollouts), policy, None, "train", seeded())
    assert wrong.scores["pairwise_accuracy"] == 0.0


def test_ragged_groups_and_missing_ranks_are_evaluated_by_what_they_have(tmp_path: Path) -> None:
    rows = [
        {"prompt": "b", "completions": ["a", "b", "aaa"], "ranks": [1, 1, 0]},
        {"prompt": "c", "completions": ["aa", "b"], "ranks": [0, None]},
        {"prompt": "d", "completions": ["b", "a"], "ranks": [3, 9]},
    ]
    task, policy = build(tmp_path, rows, folds=None), TabularPolicy(LETTERS)
    found = task.evaluate_guidance(lambda rollouts: rollouts.lengths.float(), policy, None, "train", seeded())
    assert found.details["pairs"] == 3
    assert found.scores["pairwise_accuracy"] == pytest.approx((1 + 1 + 0.5) / 3)


def test_shorter_is_a_rule_of_characters(tmp_path: Path) -> None:
    task, policy = build(tmp_path, folds=None), TabularPolicy(LETTERS)
    (name, found), *others = task.systems(policy, None, "train", seeded())
    ahead = [len(row["rejected"]) - len(row["chosen"]) for row in pairs()]
    right = [1.0 if margin > 0 else 0.5 if margin == 0 else 0.0 for margin in ahead]
    assert (name, others) == ("shorter", [])
    assert found.scores["pairwise_accuracy"] == pytest.approx(sum(right) / len(right))


def test_cut_prompts_are_counted(tmp_path: Path) -> None:
    task, policy = build(tmp_path, folds=None, max_prompt_tokens=4), TabularPolicy(LETTERS)
    prompts = task.prompts(policy, "train", None, seeded())
    assert int(prompts.mask.sum(-1).max()) == 4
    assert prompts.texts[6] == "b" * 4
    assert task.evaluate(policy, None, "train", seeded()).details == {"prompts_cut": 8}


def test_a_fixed_sample_is_evaluated(tmp_path: Path) -> None:
    task, policy = build(tmp_path, folds=None, test_rows=5), TabularPolicy(LETTERS)
    found = task.evaluate_guidance(lambda rollouts: rollouts.lengths.float(), policy, None, "train", seeded())
    assert len(found.items) == 5


def test_equal_rows_have_names_of_their_own(tmp_path: Path) -> None:
    task = build(tmp_path, [pairs(1)[0]] * 3, folds=None)
    first, second, third = task.rows["train"]
    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_errors_name_file_and_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Column 'chosen' in row 2 of 'pairs\.jsonl' must be a text"):
        build(tmp_path, [pairs(1)[0], {"prompt": "p", "chosen": 3, "rejected": "b", "row": 1}])
    with pytest.raises(DataError, match=r"columns of 'pairs\.jsonl' must be one of these sets: prompt, completions"):
        build(tmp_path, [{"question": "q"}])
    with pytest.raises(DataError, match=r"must have a split 'test', but has 'train' instead.*task\.folds"):
        build(tmp_path, folds=None).prompts(TabularPolicy(LETTERS), "test", None, seeded())
    with pytest.raises(DataError, match="leaves no rows for"):
        build(tmp_path, pairs(1))


def test_conversations_reach_the_policy_and_functions(tmp_path: Path) -> None:
    user, good, bad = (
        {"role": role, "content": text} for role, text in (("user", "b"), ("assistant", "a"), ("assistant", "d"))
    )
    rows = [{"chosen": [user, good], "rejected": [user, bad]}]
    task = build(tmp_path, rows, folds=None, roles={"user": "c", "assistant": "d"})
    found = task.prompts(TabularPolicy(LETTERS), "train", None, seeded())
    assert found.texts == ("cbd",)
    assert found.columns["completions"] == [("a", "d")]
    assert found.columns["messages"] == [(user,)]


@pytest.mark.skipif(not HH.exists(), reason="needs the HH-harmless pairs beside the checkout, in ../shared")
def test_hh_harmless_loads_as_it_is(tmp_path: Path) -> None:
    given = PreferenceRows(data=Files(train=HH), folds=Folds())
    task = given.build(make_context(cache_dir=tmp_path))
    rows = [row for split in task.rows.values() for row in split.values()]
    with gzip.open(HH, "rt", encoding="utf-8") as lines:
        raw = [json.loads(line) for line in lines]
    assert len(rows) == len(raw)
    assert all(row.prompt.endswith("\n\nAssistant:") for row in rows)
    assert {row.prompt + row.completions[0] for row in rows} == {row["chosen"] for row in raw}
    assert {row.prompt + row.completions[1] for row in rows} == {row["rejected"] for row in raw}
    _, found = next(iter(task.systems(TabularPolicy(), None, "test", seeded())))
    assert 0.5 < found.scores["pairwise_accuracy"] < 0.6


def test_what_is_written_and_how_far_from_the_reference(tmp_path: Path) -> None:
    policy = TabularPolicy(LETTERS)
    context = make_context(cache_dir=tmp_path / "cache")
    given = options(tmp_path, folds=None, writing=Writing(prompts=7, max_new_tokens=5, batch=3))
    task = given.build(context)
    alone = task.evaluate(policy, None, "train", seeded())
    assert [item["id"] for item in alone.items] == sorted(task.rows["train"])[:7]
    assert "kl" not in alone.details
    context.parts["reference"] = TabularPolicy(LETTERS)
    same = task.evaluate(policy, None, "train", seeded())
    assert same.details["kl"] == pytest.approx(0.0, abs=1e-6)
    assert [item["written"] for item in same.items] == [item["written"] for item in alone.items]
    with torch.no_grad():
        policy.table.zero_()
    moved = task.evaluate(policy, None, "train", seeded()).details
    assert moved["kl"] > 0.1
    assert moved["kl_per_token"] == pytest.approx(moved["kl"] * 7 / _tokens(policy, task), rel=1e-4)


def _tokens(policy: TabularPolicy, task: Any) -> int:
    """Count what is written, with the same generator and batches."""
    generator, ids, count = seeded(), sorted(task.rows["train"])[:7], 0
    for batch in (ids[:3], ids[3:6], ids[6:]):
        prompts = task._encode(policy, "train", batch)
        count += int(policy.sample(prompts, 1, draw, Limits(5), generator).mask.sum())
    return count
