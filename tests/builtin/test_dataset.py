"""Completions and judgments that come with the rows."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch

from tgframe import DataError, Policy, Prompts, Rollouts
from tgframe.builtin.dataset import DatasetPreference, DatasetSampler
from tgframe.testing import PreferenceSourceContract, SamplerContract, TabularPolicy, make_rollouts

TEXTS = [["a", "ab", "abc", "abcd", "abcde"], ["b", "", "bb", "cab", "d"]]
RANKS = [[0, 1, 1, None, 7], [4, 3, 2, 1, 0]]


def prompts(policy: Policy, texts: Any = TEXTS, **columns: Any) -> Prompts:
    names = [f"row-{row}" for row in range(len(texts))]
    return policy.encode(["p"] * len(texts), names, columns={"completions": texts, **columns})


def read(k: int, texts: Any = TEXTS, seed: int = 0, max_tokens: int | None = None, **columns: Any) -> Rollouts:
    policy = TabularPolicy("abcd")
    generator = torch.Generator().manual_seed(seed)
    return DatasetSampler(max_tokens=max_tokens).sample(policy, prompts(policy, texts, **columns), k, generator)


class TestDatasetSampler(SamplerContract):
    def make(self) -> DatasetSampler:
        return DatasetSampler()

    def prompts(self, policy: Policy) -> Prompts:
        return prompts(policy, ranks=RANKS)


class TestDatasetPreference(PreferenceSourceContract):
    def make(self) -> DatasetPreference:
        return DatasetPreference(column="scores", demonstrations=True)

    def rollouts(self) -> Rollouts:
        return self._with([0.5, -1.0, 2.0], [1.0, 1.0, 0.0])

    def missing(self) -> Rollouts:
        return self._with([0.5, 2.0, None], [1.0, 0.0, None])

    @staticmethod
    def _with(*scores: list[float | None]) -> Rollouts:
        marks = [[False, True, False], [True, False, False]]
        return make_rollouts((("a", "bb", "c"), ("d", "e", "ff")), columns={"scores": scores, "demonstrations": marks})


def test_all_completions_of_a_row_come_in_order_with_their_judgments() -> None:
    found = read(5, ranks=RANKS)
    assert found.texts == tuple(map(tuple, TEXTS))
    assert found.columns == {"ranks": RANKS}
    assert found.present.all(), "an empty completion has its end token"
    assert not found.exact
    assert found.sample_logprobs is None


def test_a_row_with_too_few_ends_in_absent_completions() -> None:
    found = read(3, [["a"], ["a", "b", "c"]], ranks=[[0], [0, 1, 2]])
    assert found.present.tolist() == [[True, False, False], [True, True, True]]
    assert found.texts[0] == ("a", "", "")
    assert found.columns["ranks"][0] == [0, None, None]
    assert DatasetPreference().judge(found).valid.tolist() == [[True, False, False], [True, True, True]]


def test_of_a_row_with_too_many_some_are_drawn_without_replacement() -> None:
    drawn = [read(2, seed=seed, ranks=RANKS) for seed in range(100)]
    pairs = {found.texts[0] for found in drawn}
    assert pairs == {(TEXTS[0][i], TEXTS[0][j]) for i in range(5) for j in range(i + 1, 5)}
    for found in drawn:
        assert found.columns["ranks"][0] == [RANKS[0][TEXTS[0].index(text)] for text in found.texts[0]]


def test_a_cut_completion_loses_its_end_token() -> None:
    found = read(5, max_tokens=3)
    assert found.lengths[0].tolist() == [2, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("column", "values", "kind", "expected"),
    [
        ("ranks", [[0, 2, None]], "rank", [0.0, -2.0, None]),
        ("scores", [[0.5, None, -3]], "score", [0.5, None, -3.0]),
        ("labels", [[True, False, 0.25]], "label", [1.0, 0.0, 0.25]),
    ],
)
def test_judgments_of_every_kind(column: Any, values: Any, kind: str, expected: list[float | None]) -> None:
    rollouts = make_rollouts((("a", "b", "c"),), columns={column: values})
    source = DatasetPreference(column=column)
    found = source.judge(rollouts)
    told = [
        value if valid else None for value, valid in zip(found.values[0].tolist(), found.valid[0].tolist(), strict=True)
    ]
    assert told == expected
    assert found.kind == kind
    assert source.provides() == {kind}


def test_what_is_wrong_is_told() -> None:
    policy, generator = TabularPolicy("abcd"), torch.Generator()
    without = policy.encode(["p"], ["row-0"], columns={"answer": ["a"]})
    with pytest.raises(DataError, match=r"reads the column 'completions' of the prompts, but they have 'answer'\."):
        DatasetSampler().sample(policy, without, 2, generator)
    with pytest.raises(DataError, match=r"Prompt 'row-1' must have as many ranks as completions \(2\), but has 1"):
        read(2, [["a", "b"], ["c", "d"]], ranks=[[0, 1], [0]])
    rollouts = make_rollouts((("a", "b"),), columns={"labels": [[1.0, 0.0]], "scores": [[float("nan"), 1.0]]})
    with pytest.raises(
        DataError, match=r"reads the column 'ranks' of the completions, but they have 'labels', 'scores'"
    ):
        DatasetPreference().judge(rollouts)
    with pytest.raises(DataError, match="Prompt 'prompt-0' must have finite scores, but has nan"):
        DatasetPreference(column="scores").judge(rollouts)
    with pytest.raises(DataError, match="'demonstrations'"):
        DatasetPreference(column="labels", demonstrations=True).judge(rollouts)


def test_only_a_sampler_that_reads_rows_goes_with_judgments_of_rows() -> None:
    assert DatasetPreference().accepts()["sampler"] & DatasetSampler().provides()
    assert attrs.fields(DatasetPreference).column.default == "ranks"
