"""The preferences that compare with targets: laws, several targets, what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
import torch

from tgframe import ComponentError, Context, Rollouts, Specification
from tgframe.recipe.converter import make_converter
from tgframe.recipe.refusal import Refused
from tgframe.registry.manager import load_plugins
from tgframe.testing import PreferenceSourceContract, make_context, make_prompts, make_rollouts
from tgframe_summarization.preferences.embedding import EmbeddingSimilarity
from tgframe_summarization.preferences.meteor import Meteor
from tgframe_summarization.preferences.rouge import Rouge

TARGETS = (("The cat sat on the mat.", "A cat."), ("Dogs bark.", "Dogs bark at night."))
COMPLETIONS = (
    ("the cat sat", "a mat for the cat", "", "naïve café ☕"),
    ("dogs bark", "night falls and dogs bark", "bark", ""),
)


class TargetContract(PreferenceSourceContract):
    """Laws on completions that have targets; the last one may be absent."""

    def rollouts(self) -> Rollouts:
        return make_rollouts(COMPLETIONS, make_prompts(("first", "second"), targets=TARGETS))

    def missing(self) -> Rollouts:
        here = self.rollouts()
        return attrs.evolve(here, mask=here.mask & torch.tensor([True, True, True, False]).reshape(1, 4, 1))


class TestRouge(TargetContract):
    def make(self) -> Rouge:
        return Rouge(weights={"rouge1": 0.4, "rougeL": 0.6}, targets="mean")


class TestMeteor(TargetContract):
    def make(self) -> Meteor:
        return Meteor()


class TestEmbeddingSimilarity(TargetContract):
    def make(self) -> EmbeddingSimilarity:
        return EmbeddingSimilarity("bert", batch_tokens=40)

    def context(self) -> Context:
        return make_context(cache_dir=self.folder)


def judged(
    source: Specification[Any], texts: Sequence[str], targets: Sequence[str], context: Context | None = None
) -> list[float]:
    rollouts = make_rollouts([texts], make_prompts(["p"], targets=[targets]))
    values: list[float] = source.build(context or make_context()).judge(rollouts).values[0].tolist()
    return values


def test_a_mix_is_a_mean_by_weights() -> None:
    texts, targets = ("the cat sat", "mat the on sat"), ("the cat sat on the mat",)
    one, two, longest = (judged(Rouge(name), texts, targets) for name in ("rouge1", "rouge2", "rougeL"))
    mixed = judged(Rouge(weights={"rouge1": 0.4, "rougeL": 0.6}), texts, targets)
    assert mixed == pytest.approx([0.4 * a + 0.6 * b for a, b in zip(one, longest, strict=True)])
    assert judged(Rouge(weights={"rouge1": 2, "rougeL": 3, "rouge2": 0}), texts, targets) == pytest.approx(mixed)
    paper = judged(Rouge("paper"), texts, targets)
    assert paper == pytest.approx([(a + 2 * b + c) / 4 for a, b, c in zip(one, two, longest, strict=True)])
    assert longest[1] < one[1], "the order of words counts for one of them only"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variant": "rouge9"}, "must be one of 'rouge1', 'rouge2'"),
        ({"weights": {"rouge1": 1.0, "meteor": 1.0}}, "no variant 'meteor'"),
        ({"weights": {"rouge1": -1.0}}, ">= 0"),
        ({"weights": {"rouge1": 0.0}}, "one of them above 0"),
        ({"weights": {}}, "one of them above 0"),
        ({"variant": "paper", "weights": {"rouge1": 1.0}}, "`weights` must be null where `variant` is 'paper'"),
    ],
)
def test_variants_that_do_not_exist_are_refused(options: Any, told: str) -> None:
    converter = make_converter(load_plugins(blocked=frozenset()))
    with pytest.raises(Refused) as refused:
        converter.structure(options, Rouge)
    assert told in str(refused.value.findings)


@pytest.mark.parametrize("make", [Rouge, Meteor])
def test_the_best_or_the_mean_of_several_targets_counts(make: Any) -> None:
    texts, targets = ("a b c",), ("a b c d", "c x")
    apart = [judged(make(), texts, [target])[0] for target in targets]
    assert apart[0] > apart[1] > 0
    assert judged(make(), texts, targets) == pytest.approx([apart[0]])
    assert judged(make(targets="mean"), texts, targets) == pytest.approx([sum(apart) / 2])


def test_without_a_target_there_is_no_judgment() -> None:
    rollouts = make_rollouts([["a b", "c"], ["a b", "c"]], make_prompts(["p", "q"], targets=[["a b", "x"], ["", " "]]))
    prompts = rollouts.prompts
    assert prompts.targets is not None
    absent = prompts.targets.mask & torch.tensor([[[True], [False]], [[True], [False]]])
    prompts = attrs.evolve(prompts, targets=attrs.evolve(prompts.targets, mask=absent))
    source = Rouge(targets="mean").build(make_context())
    found = source.judge(attrs.evolve(rollouts, prompts=prompts))
    assert found.valid.tolist() == [[True, True], [False, False]]
    assert found.values[0].tolist() == [1.0, 0.0], "the absent target is not compared with"
    assert source.calls == 2
    later = Rouge().build(make_context())
    later.load_state_dict(source.state_dict())
    assert later.calls == 2


def test_a_task_without_targets_is_told() -> None:
    with pytest.raises(ComponentError, match="Use a task that provides targets"):
        Meteor().build(make_context()).judge(make_rollouts([["a", "b"]], make_prompts(["p"])))
    for source in (Rouge(), Meteor(), EmbeddingSimilarity("bert")):
        assert source.needs() == {"targets"}


def test_embeddings_are_cosines_computed_once() -> None:
    context = make_context()
    source = EmbeddingSimilarity("bert").build(context)
    read: list[int] = []
    model = source.encoder.model
    model.register_forward_pre_hook(lambda _, __, named: read.append(len(named["input_ids"])), with_kwargs=True)
    targets = make_prompts(["p"], targets=[["the cat", "a dog"]])
    rollouts = make_rollouts([["the cat", "something else", "", "the cat"]], targets)
    values = source.judge(rollouts).values[0].tolist()
    assert values[0] == pytest.approx(1.0)
    assert values[1] < 0.9999
    assert values[2] == 0.0, "an empty text is like nothing"
    assert sum(read) == 4, "two targets, a text of its own, and the empty one"
    vectors = source.encoder.embed(["the cat", "something else", "a dog"])
    best = max(float(vectors["something else"] @ vectors[target]) for target in ("the cat", "a dog"))
    assert values[1] == pytest.approx(best)
    source.judge(rollouts)
    assert sum(read) == 4
    assert vectors["the cat"].norm().item() == pytest.approx(1.0)


def test_an_embedding_is_the_mean_of_the_states_of_its_own_tokens() -> None:
    context = make_context()
    encoder = EmbeddingSimilarity("bert", remember=0).build(context).encoder
    together = encoder.embed(["short", "a text that is quite a bit longer"])
    alone = encoder.embed(["short"])["short"]
    torch.testing.assert_close(together["short"], alone, rtol=1e-5, atol=1e-6)
    ids = torch.tensor([encoder.tokenizer("short")["input_ids"]])
    with torch.no_grad():
        states = encoder.model(input_ids=ids).last_hidden_state[0].mean(0)
    torch.testing.assert_close(alone, states / states.norm(), rtol=1e-5, atol=1e-6)
    first = EmbeddingSimilarity("bert", pooling="first").build(context).encoder.embed(["short"])["short"]
    assert not torch.allclose(first, alone)


@pytest.mark.parametrize("model", ["t5", "gpt2"])
def test_other_architectures_encode_too(model: str) -> None:
    source = EmbeddingSimilarity(model, max_length=4)
    assert judged(source, ["the cat", "the dog", "dog"], ["the c and more"])[:2] == pytest.approx([1.0, 1.0], abs=2e-1)
    encoder = source.build(make_context()).encoder
    vectors = encoder.embed(["abcd", "abcdefg", "abce"])
    torch.testing.assert_close(vectors["abcd"], vectors["abcdefg"]), "what is beyond the length is not read"
    assert not torch.allclose(vectors["abcd"], vectors["abce"])
