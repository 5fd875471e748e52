"""Every mistake in data, labels and verbalisers is told with its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value

from tgframe import DataError, ModelError, Splits
from tgframe_prompts.examples import Examples, label_names


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"sentences": ["a"], "label": ["cat"]},
            r"The text column of split 'train' must be 'text' or 'sentence'.*sentences",
        ),
        ({"text": ["a"], "class": ["cat"]}, r"The label column of split 'train' must be 'label'.*task.label"),
        ({"text": [], "label": []}, r"split 'train' must have rows"),
        (
            {"text": ["a", None], "label": ["cat", "dog"]},
            r"Row 1 of split 'train' must have a text, but has None.*drop it",
        ),
        ({"text": ["a", "b"], "label": ["cat", None]}, r"Row 1 of split 'train' must have a label, but has none"),
        ({"text": ["a", "b"], "label": [0.0, float("nan")]}, r"Row 1 of split 'train' must have a label"),
        ({"text": ["a"], "label": ["fish"]}, r"Row 0 of split 'train' has the label 'fish'.*no verbaliser.*'cat'"),
        (
            {"text": ["a"], "label": ["cat"]},
            r"Every class must have a row in split 'train', but 'bird', 'dog' has none",
        ),
    ],
)
def test_bad_rows(build: Callable[..., Any], data: Callable[..., Any], train: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(data(train=train), verbalizers={"cat": "cat", "dog": "dog", "bird": "bird"})


def test_a_missing_label_is_no_class_where_labels_are_the_words(build: Callable[..., Any], data: Any) -> None:
    with pytest.raises(DataError, match="Row 2 of split 'train' must have a label"):
        build(data(train={"text": ["a", "b", "c"], "label": ["cat", "dog", None]}))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_empty_splits(build: Callable[..., Any], data: Callable[..., Any], split: str) -> None:
    with pytest.raises(DataError, match=f"split '{split}' must have rows, but is empty"):
        build(data(**{split: {"text": [], "label": []}}))


def test_texts_longer_than_the_model_are_counted(build: Callable[..., Any], data: Callable[..., Any]) -> None:
    test = {"text": ["word " * 200, "short", "short"], "label": ["cat", "dog", "bird"]}
    details = build(data(test=test)).measure([" é☕", "北京"], "test").details
    assert (details["texts"], details["texts_cut"]) == (3, 1)
    assert [each["prompt"] for each in details["prompts"]] == [" é☕", "北京"]


def test_missing_splits(build: Callable[..., Any], data: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match=r"must have a split 'dev', but has 'train', 'test'.*few-shot"):
        build(data({"train": slice(0, 2), "test": slice(0, 2)}))
    task = build(data({"train": slice(0, 2), "dev": slice(0, 2)}))
    with pytest.raises(DataError, match=r"must have a split 'test', but has 'train', 'dev'.*test_split"):
        task.measure([""], "test")


def test_one_class_is_no_classification(build: Callable[..., Any], data: Callable[..., Any]) -> None:
    alone = {"text": ["a"], "label": ["cat"]}
    with pytest.raises(DataError, match="at least 2 classes"):
        build(data(train=alone, dev=alone))


def test_verbalizers_of_several_tokens(build: Callable[..., Any]) -> None:
    with pytest.raises(ModelError, match=r"'purring' of the label 'cat' must be one token.*\('p', .*another word"):
        build(verbalizers={"cat": "purring", "dog": "dog", "bird": "bird"})
    with pytest.raises(ModelError, match=r"'DOG' of the label 'dog'.*Write ' dog', which is one token"):
        build(verbalizers={"cat": "cat", "dog": "DOG", "bird": "bird"})


def test_two_classes_with_one_verbalizer(build: Callable[..., Any]) -> None:
    with pytest.raises(
        ModelError, match="verbaliser of 'bird' must differ from that of 'cat', but both are the token 'cat'"
    ):
        build(verbalizers={"cat": "cat", "dog": "dog", "bird": "cat"})


def test_leading_space_makes_another_verbalizer(build: Callable[..., Any]) -> None:
    task = build(verbalizers={"cat": "cat", "dog": " cat", "bird": "bird"})
    assert len(set(task.scorer.classifier.head.tokens.tolist())) == 3


def test_columns_differ_by_split(build: Callable[..., Any], data: Callable[..., Any]) -> None:
    dev = {"sentence": ["x", "y", "z"], "label": ["cat", "dog", "bird"]}
    assert build(data(dev=dev)).splits["dev"].texts == ("x", "y", "z")


def test_labels_are_names_numbers_or_classes() -> None:
    features = Features({"label": ClassLabel(names=["no", "yes"]), "text": Value("string")})
    rows = {
        "named": Dataset.from_dict({"label": [1, 0, -1], "text": ["a", "b", "c"]}, features=features),
        "numbers": Dataset.from_dict({"label": [1, 0], "text": ["a", "b"]}),
    }
    splits = Splits(rows, "none")
    assert label_names(splits, "named", ("label",)) == ["yes", "no", "-1"]
    assert label_names(splits, "numbers", ("label",)) == ["1", "0"]


def test_samples_are_balanced_and_fixed(build: Callable[..., Any]) -> None:
    first, again = (build(test_rows=6).splits["test"] for _ in range(2))
    assert first.texts == again.texts
    assert first.labels.bincount().tolist() == [2, 2, 2]
    assert len(build(test_rows=6).splits["train"]) == 12
    assert build(test_rows=7).splits["test"].labels.bincount().tolist() == [3, 2, 2]
    assert len(build(test_rows=1000).splits["test"]) == 9


@pytest.mark.parametrize("best", [2, 6, 7, None])
def test_a_sample_is_the_same_beside_any_other(build: Callable[..., Any], best: int | None) -> None:
    alone = build(test_rows=5).splits["test"].texts
    both = build(test_rows=5, best_rows=best).splits["test"]
    places, more = both.sample("test_rows").tolist(), both.sample("best_rows").tolist()
    assert tuple(both.texts[place] for place in places) == alone
    assert len(more) == (9 if best is None else best)
    small, large = sorted((places, more), key=len)
    assert set(small) <= set(large)
    assert large == list(range(len(both)))


def test_balanced_share_has_each_class() -> None:
    examples = Examples("train", tuple("abcdef"), torch.tensor([0, 0, 0, 0, 0, 1]))
    for seed in range(5):
        index = examples.balanced(0.4, torch.Generator().manual_seed(seed))
        assert examples.labels[index].bincount().tolist() == [2, 1]
        assert index.tolist() == sorted(index.tolist())


def test_texts_that_stand_in_two_splits_are_counted(build: Callable[..., Any], data: Callable[..., Any]) -> None:
    both, new = {"text": ["x", "y"], "label": ["cat", "dog"]}, {"text": ["x", "z"], "label": ["cat", "dog"]}
    task = build(data(test=new, dev=both, train={"text": ["x", "x"], "label": ["cat", "dog"]}))
    assert task.provenance["rows_seen_before"] == {"train": 0, "dev": 1, "test": 1}
