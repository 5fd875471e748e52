from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tgframe import ComponentError, Context, Rollouts, Specification
from tgframe.testing import PreferenceSourceContract, TabularPolicy, make_context
from tgframe_prompts.preference import ClassificationGap


def rollouts_of(*texts: str, split: str = "train", prompts: int = 1) -> Rollouts:
    policy = TabularPolicy()
    batch = policy.encode([""] * prompts, ["prompt"] * prompts, split=split)
    return policy.complete(batch, [texts] * prompts)


class TestClassificationGap(PreferenceSourceContract):
    def make(self) -> Specification[Any]:
        return ClassificationGap()

    def context(self) -> Context:
        return self.built

    @pytest.fixture(autouse=True)
    def _task(self, build: Callable[..., Any], context: Context) -> None:
        build()
        self.built = context


@pytest.fixture
def source(build: Callable[..., Any], context: Context) -> Callable[..., Any]:
    def make(task: dict[str, Any] | None = None, **options: Any) -> Any:
        build(**(task or {}))
        return ClassificationGap(**options).build(context)

    return make


def test_order_does_not_matter(source: Callable[..., Any]) -> None:
    texts = (" a", " b", " a dog", "é", " b")
    found = source().judge(rollouts_of(*texts)).values
    turned = source().judge(rollouts_of(*texts[::-1])).values
    torch.testing.assert_close(turned.flip(1), found)
    assert found[0, 1] == found[0, 4]


def test_the_split_is_the_prompts_split(source: Callable[..., Any]) -> None:
    judge = source()
    dev = judge.judge(rollouts_of(" a", " b", split="dev")).values
    assert judge.calls == 2 * len(judge.task.splits["dev"])
    assert judge.task.search.prompts("train") == []
    assert not torch.allclose(judge.judge(rollouts_of(" a", " b")).values, dev)


def test_share_of_the_examples_is_balanced_and_drawn_anew(source: Callable[..., Any]) -> None:
    judge = source(examples=0.5)
    seen = []
    for _ in range(8):
        index = judge._texts("train")
        assert judge.task.splits["train"].labels[index].bincount().tolist() == [2, 2, 2]
        seen.append(tuple(index.tolist()))
    assert len(set(seen)) > 1
    judge.judge(rollouts_of(" a"))
    assert judge.calls == 6
    for _ in range(50):
        judge.judge(rollouts_of(" a"))
    assert judge.calls == 12
    assert judge._texts("dev") is None


def test_zscore_keeps_the_order(source: Callable[..., Any]) -> None:
    texts = (" a", " b", " c", "é")
    plain, scaled = source().judge(rollouts_of(*texts)).values, source(zscore=True).judge(rollouts_of(*texts)).values
    assert plain.argsort().tolist() == scaled.argsort().tolist()
    assert scaled.mean().item() == pytest.approx(0.0, abs=1e-5)
    assert scaled.std(correction=0).item() == pytest.approx(1.0, abs=1e-3)
    assert source(zscore=True).judge(rollouts_of(" a", " a")).values.tolist() == [[0.0, 0.0]]


def test_standardised_values_are_ranks_and_validation_keeps_its_own(source: Callable[..., Any]) -> None:
    plain, scaled = source(), source(zscore=True)
    assert (plain.provides(), scaled.provides()) == ({"score"}, {"rank"})
    assert scaled.judge(rollouts_of(" a", " b")).kind == "rank"
    dev, expected = (judge.judge(rollouts_of(" a", " b", split="dev")) for judge in (scaled, plain))
    assert dev.kind == "score"
    assert torch.equal(dev.values, expected.values)
    assert float(dev.values.mean()) != pytest.approx(0.0, abs=1e-3)


def test_lambdas_weigh_right_and_wrong(source: Callable[..., Any]) -> None:
    both = source(lambda_wrong=1.0, lambda_right=1.0).judge(rollouts_of(" a")).values
    wrong = source(lambda_wrong=1.0, lambda_right=1e-9).judge(rollouts_of(" a")).values
    right = source(lambda_wrong=1e-9, lambda_right=1.0).judge(rollouts_of(" a")).values
    assert wrong.item() < 0 < right.item()
    torch.testing.assert_close(both, wrong + right)


def test_calibration_takes_the_mean_logit_of_train(source: Callable[..., Any]) -> None:
    judge = source({"calibrate": "mean-logit"})
    task = judge.task
    raw = {split: task.search.logits([" a"], split) for split in ("train", "dev")}
    assert task.logits(task.search, [" a"], "train").mean(1).abs().max() < 1e-5
    torch.testing.assert_close(task.logits(task.search, [" a"], "dev"), raw["dev"] - raw["train"].mean(1, keepdim=True))
    calls = task.search.calls
    task.preference(task.search, [" b"], "dev")
    assert task.search.calls == calls + len(task.splits["dev"]) + len(task.splits["train"])


def test_needs_the_task() -> None:
    assert ClassificationGap().needs() == {"classification"}
    with pytest.raises(ComponentError, match="prompt-classification"):
        ClassificationGap().build(make_context(task=object()))
