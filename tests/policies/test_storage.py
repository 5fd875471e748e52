"""Saving, loading, copying, growing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe.builtin.samplers import Sample
from tgframe.errors import CheckpointError, ModelError
from tgframe.policies.adaptor import Adaptor
from tgframe.policies.adaptor_policy import AdaptorPolicy
from tgframe.policies.causal import Causal
from tgframe.policies.loading import load_policy
from tgframe.runtime.checkpoint import read_checkpoint, write_checkpoint
from tgframe.testing import make_context


def scored(policy: Any) -> torch.Tensor:
    prompts = policy.encode(["abc", ""], ["0", "1"])
    return policy.score(policy.complete(prompts, [["ab"], ["jig"]])).logprobs.detach()


def shake(policy: Any) -> None:
    with torch.no_grad():
        for parameter in policy.trainable():
            parameter.add_(0.05 * torch.randn(parameter.shape))


def test_saved_policies_come_back(policy: Any, tmp_path: Path) -> None:
    shake(policy)
    policy.save_pretrained(tmp_path / "saved")
    again = load_policy(tmp_path / "saved", make_context().runtime)
    assert type(again) is type(policy)
    assert torch.equal(scored(again), scored(policy))


def test_a_causal_policy_is_a_plain_model_on_disk(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    policy: Any = Causal(str(folder)).build(make_context())
    policy.save_pretrained(tmp_path)
    AutoModelForCausalLM.from_pretrained(tmp_path, use_safetensors=True)
    assert AutoTokenizer.from_pretrained(tmp_path).eos_token_id == policy.special.end


def test_state_goes_through_a_checkpoint(policy: Any, tmp_path: Path) -> None:
    policy.version = 3
    write_checkpoint(tmp_path / "step-3", {"policy": policy.state_dict()})
    expected = scored(policy)
    shake(policy)
    policy.version = 9
    assert not torch.equal(scored(policy), expected)
    policy.load_state_dict(read_checkpoint(tmp_path / "step-3")["policy"])
    assert torch.equal(scored(policy), expected)
    assert policy.version == 3


def test_the_adaptor_saves_only_what_it_trains(folder: Path, other_folder: Path) -> None:
    policy: Any = Adaptor(str(folder), hidden=8).build(make_context())
    names = {"adaptor.0.weight", "adaptor.0.bias", "adaptor.2.weight", "adaptor.2.bias", "_extra_state"}
    assert policy.state_dict().keys() == names
    assert sum(parameter.numel() for parameter in policy.trainable()) == 8 * 32 + 8 + 32 * 8 + 32
    assert not any(parameter.requires_grad for parameter in policy.language_model.parameters())
    other: Any = Adaptor(str(other_folder), hidden=8).build(make_context())
    with pytest.raises(CheckpointError, match="other frozen weights"):
        other.load_state_dict(policy.state_dict())


def test_the_adaptor_starts_as_the_paper_says(folder: Path) -> None:
    one, two = (Adaptor(str(folder)).build(make_context(seed=seed)) for seed in (0, 0))
    other = Adaptor(str(folder)).build(make_context(seed=1))
    assert isinstance(one, AdaptorPolicy)
    weight = one.adaptor[0].weight
    assert weight.shape == (2048, 32)
    bound = 1e-4 * (6 / (2048 + 32)) ** 0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert (one.adaptor[2].bias == -1e-4).all()
    assert torch.equal(weight, two.adaptor[0].weight)  # type: ignore[attr-defined]
    assert not torch.equal(weight, other.adaptor[0].weight)  # type: ignore[attr-defined]


def test_only_the_adaptor_gets_gradients_and_only_it_changes_modes(folder: Path) -> None:
    policy: Any = Adaptor(str(folder), hidden=8, gain=1.0).build(make_context())
    policy.train()
    assert not policy.language_model.training
    prompts = policy.encode(["a"], ["0"])
    policy.score(policy.complete(prompts, [["ab"]])).logprobs.sum().backward()
    assert all(parameter.grad.any() for parameter in policy.trainable())
    assert all(parameter.grad is None for parameter in policy.language_model.parameters())


def test_sampling_puts_every_submodule_back_as_it_was(folder: Path) -> None:
    policy: Any = Causal(str(folder)).build(make_context())
    policy.train()
    policy.model.transformer.h[0].eval()
    before = [part.training for part in policy.modules()]
    prompts = policy.encode(["a"], ["0"])
    seeds = [torch.Generator().manual_seed(0) for _ in range(2)]
    first, second = (Sample(max_new_tokens=20).sample(policy, prompts, 8, seed) for seed in seeds)
    assert torch.equal(first.tokens, second.tokens), "dropout was on"
    assert [part.training for part in policy.modules()] == before


def test_a_copy_shares_what_never_changes(policy: Any) -> None:
    twin = copy.deepcopy(policy).requires_grad_(False)
    expected = scored(policy)
    shake(policy)
    assert torch.equal(scored(twin), expected)
    assert not torch.equal(scored(policy), expected)
    assert twin.tokenizer is policy.tokenizer
    assert (twin.language_model is policy.language_model) == isinstance(policy, AdaptorPolicy)
    assert all(parameter.requires_grad for parameter in policy.trainable())


@torch.no_grad()
def test_control_tokens_start_at_the_mean(folder: Path, tmp_path: Path) -> None:
    policy: Any = Causal(str(folder)).build(make_context())
    before = scored(policy)
    old = policy.model.get_input_embeddings().weight.clone()
    ids = policy.add_tokens(["<good>", "<bad>"])
    assert ids == (12, 13)
    assert policy.add_tokens(["<bad>", "<good>"]) == (13, 12)
    rows = policy.model.get_input_embeddings().weight
    assert rows.shape == (14, 32)
    assert torch.equal(rows[:12], old)
    torch.testing.assert_close(rows[12:], old.mean(0).expand(2, -1))
    assert scored(policy).shape == before.shape
    prompts = policy.encode(["<good>a<bad>"], ["0"])
    assert prompts.tokens.tolist() == [[12, 0, 13]]
    assert policy.tokenizer.decode([12, 0, 13], skip_special_tokens=True) == "a"
    policy.save_pretrained(tmp_path)
    again = load_policy(tmp_path, make_context().runtime)
    assert again.encode(["<good>a<bad>"], ["0"]).tokens.tolist() == [[12, 0, 13]]


def test_what_cannot_work_is_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from tgframe.testing import make_tokenizer

    adaptor: Any = Adaptor(str(folder), hidden=8).build(make_context())
    with pytest.raises(ModelError, match="cannot grow"):
        adaptor.add_tokens(["<good>"])
    GPT2LMHeadModel(GPT2Config(vocab_size=5, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    make_tokenizer("abcdefghij ").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="knows 12 tokens, but the model only 5"):
        Causal(str(tmp_path)).build(make_context())
