"""The fakes are what they say: lossless tokens, a policy that sums to one, models that load."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import tgframe.testing
from tgframe import Limits, Prompts
from tgframe.testing import (
    EchoSampler,
    FixedPreference,
    PlainDraw,
    TabularPolicy,
    make_context,
    make_prompts,
    make_rollouts,
    make_step,
    make_tokenizer,
    write_tiny_model,
)

TEXTS = ("plain", "", "  two  spaces ", "naïve café ☕\n", "<|endish|>")


def test_every_text_survives_the_byte_tokenizer() -> None:
    tokenizer = make_tokenizer()
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert ids == list(text.encode())
        assert tokenizer.decode(ids) == text


def test_made_rollouts_hold_the_tokenizers_ids() -> None:
    policy = TabularPolicy()
    made = make_rollouts([TEXTS[:3], TEXTS[2:]])
    policys = policy.complete(made.prompts, [TEXTS[:3], TEXTS[2:]])
    assert torch.equal(made.tokens, policys.tokens)
    assert torch.equal(made.mask, policys.mask)
    assert made.lengths[0].tolist() == [6, 1, 15]
    assert torch.equal(make_prompts(TEXTS).tokens, policy.encode(TEXTS, TEXTS).tokens)


def test_prompts_carry_targets_columns_and_split() -> None:
    prompts = make_prompts(("a", "bb"), targets=[["x"], ["y"]], columns={"label": [0, 1]}, split="dev")
    assert prompts.mask.tolist() == [[False, True], [True, True]]
    assert prompts.targets is not None
    assert prompts.targets.texts == (("x",), ("y",))
    assert prompts.targets.prompts.ids == prompts.ids
    assert (prompts.split, prompts.columns["label"]) == ("dev", [0, 1])


def test_the_tiny_policy_is_a_distribution_over_everything_it_can_write() -> None:
    policy = TabularPolicy("ab")
    prompts = policy.encode(("ba",), ("x",))
    texts = ["".join(letters) for length in range(3) for letters in itertools.product("ab", repeat=length)]
    ended = policy.score(policy.complete(prompts, [texts])).logprobs.sum(-1).exp().sum()
    longer = [["".join(letters) for letters in itertools.product("ab", repeat=3)]]
    running = policy.score(policy.complete(prompts, longer, end=False)).logprobs.sum(-1).exp().sum()
    assert float((ended + running).detach()) == pytest.approx(1.0, abs=1e-6)


def test_draws_have_the_frequencies_that_their_scores_say() -> None:
    policy = TabularPolicy("ab")
    found = policy.sample(
        policy.encode(("a",), ("x",)), 20000, PlainDraw(), Limits(1), torch.Generator().manual_seed(0)
    )
    frequency = torch.bincount(found.tokens.flatten(), minlength=3) / 20000
    assert torch.allclose(frequency, policy.table[0].detach().softmax(-1), atol=0.02)


def test_growing_the_vocabulary_twice_is_growing_it_once() -> None:
    policy = TabularPolicy("ab")
    before = policy.score(_given(policy)).logprobs
    good, bad = policy.add_tokens(["<|good|>", "<|bad|>"])
    assert (good, bad) == (3, 4)
    assert policy.add_tokens(["<|bad|>"]) == (4,)
    assert policy.table.shape == (5, 5)
    assert policy.hidden_size == 5
    assert (policy.score(_given(policy)).logprobs < before)[_given(policy).mask].all()
    assert make_tokenizer("ab").get_vocab().keys() == {"a", "b", "<|end|>"}, "the shared tokenizer must not grow"


def test_a_copy_is_not_reached_by_updates() -> None:
    policy = TabularPolicy("ab")
    twin = copy.deepcopy(policy)
    with torch.no_grad():
        policy.table.add_(torch.eye(3))
    assert not torch.equal(policy.table, twin.table)
    assert torch.equal(twin.table, TabularPolicy("ab").table)


@pytest.mark.parametrize(
    ("architecture", "loader"),
    [("causal", "AutoModelForCausalLM"), ("masked", "AutoModelForMaskedLM"), ("seq2seq", "AutoModelForSeq2SeqLM")],
)
def test_tiny_models_load(architecture: str, loader: str, tmp_path: Path) -> None:
    import transformers

    context = make_context(cache_dir=tmp_path)
    folder = context.locate({"causal": "gpt2", "masked": "embedded/masked", "seq2seq": "t5-small"}[architecture])
    model = getattr(transformers, loader).from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("some words", return_tensors="pt").input_ids
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == "some words"
    extra = {"decoder_input_ids": ids} if architecture == "seq2seq" else {}
    assert model(ids, **extra).logits.shape[:2] == ids.shape
    assert model.get_input_embeddings().num_embeddings >= len(tokenizer)
    again = write_tiny_model(tmp_path / "again", architecture)  # type: ignore[arg-type]
    same = getattr(transformers, loader).from_pretrained(again)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_the_echo_repeats() -> None:
    policy = TabularPolicy()
    found = EchoSampler(("a", "b")).sample(policy, make_prompts(("x", "y")), 3, torch.Generator())
    assert found.texts == (("a", "b", "a"), ("a", "b", "a"))


def test_fixed_preferences_leave_unknown_texts_out_on_request() -> None:
    judged = FixedPreference({"a": 2.0}, others=False).judge(make_rollouts([["a", "b", "c d"]]))
    assert judged.valid.tolist() == [[True, False, False]]
    assert judged.values[0, 0] == 2.0


def test_a_step_has_what_was_asked_for_and_nothing_else() -> None:
    step = make_step({"policy_logprobs", "targets", "targets.guidance"}, reader="this test")
    assert step.policy_logprobs.requires_grad
    assert step.targets.guidance.values.shape == step.targets.rollouts.mask.shape
    assert step.targets.rollouts.present.tolist() == [[True, False], [True, True], [True, False]]
    with pytest.raises(tgframe.ComponentError, match=r"this test reads `step.guidance`"):
        step.guidance  # noqa: B018
    with pytest.raises(tgframe.ComponentError, match="policy_logprobs"):
        step.targets.policy_logprobs  # noqa: B018


def test_fixtures_come_with_the_plugin(fake_context: tgframe.Context, tiny_policy: TabularPolicy) -> None:
    assert fake_context.policy is tiny_policy
    with pytest.raises(AttributeError, match=r"context\.guidance is not built yet"):
        fake_context.guidance  # noqa: B018


def test_generators_of_a_context_are_seeded_by_name() -> None:
    first, again = make_context(seed=1), make_context(seed=1)
    draw = torch.rand(2, generator=first.generator("a"))
    assert torch.equal(draw, torch.rand(2, generator=again.generator("a")))
    assert not torch.equal(draw, torch.rand(2, generator=again.generator("b")))
    assert first.generator("a") is first.generator("a")


def test_the_plugin_imports_no_torch() -> None:
    code = "import sys, tgframe.testing.plugin, tgframe.testing; print('torch' in sys.modules, 'attrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()[0] == "False"


def test_every_name_can_be_had() -> None:
    assert dir(tgframe.testing) == sorted(tgframe.testing.__all__)
    for name in tgframe.testing.__all__:
        assert getattr(tgframe.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tgframe.testing.nothing  # noqa: B018


def _given(policy: TabularPolicy) -> tgframe.Rollouts:
    prompts: Prompts = policy.encode(("a",), ("x",))
    return policy.complete(prompts, [["ab", "b"]])
