"""Learned guidance with low-rank adapters on its backbone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from tgframe import CheckpointError, Context, Lora, ModelError, Rollouts, Step
from tgframe.testing import GuidanceContract
from tgframe_tlg.guidance.learned import Learned
from tgframe_tlg.guidance.model import LearnedGuidance
from tgframe_tlg.guidance.storage import load_guidance

peft = pytest.importorskip("peft", reason="an optional dependency")

MakeContext = Callable[..., Context]
MakeRollouts = Callable[..., Rollouts]
Make = Callable[..., LearnedGuidance]


class TestAdapted(GuidanceContract):
    def make(self) -> Learned:
        return Learned("tiny/causal", hidden=16, lora=Lora(r=2, modules=("c_attn", "c_fc")))


@pytest.fixture
def make(model_folder: Path, make_context: MakeContext) -> Make:
    def build(seed: int = 0, lora: Lora | None = Lora(r=2), **options: Any) -> LearnedGuidance:  # noqa: B008  # frozen
        part = Learned(str(model_folder), hidden=8, gain=3.0, lora=lora, **options).build(make_context(seed))
        assert isinstance(part, LearnedGuidance)
        return part

    return build


def values(guidance: LearnedGuidance, rollouts: Rollouts) -> torch.Tensor:
    return guidance.values(Step(rollouts.prompts).with_fields(rollouts=rollouts)).values


@torch.no_grad()
def shake(guidance: LearnedGuidance) -> None:
    for parameter in guidance.trainable():
        parameter.add_(0.2 * torch.randn(parameter.shape))


def test_new_adapters_change_nothing(make: Make, make_rollouts: MakeRollouts) -> None:
    rollouts = make_rollouts([["bcd", "e"], ["k", "lm"]], ["fg", ""])
    assert torch.equal(values(make(), rollouts), values(make(lora=None), rollouts))


def test_head_and_adapters_alone_are_fitted(make: Make, make_rollouts: MakeRollouts) -> None:
    guidance, rollouts = make(), make_rollouts([["bcd", "ef"]])
    trained = {name for name, parameter in guidance.named_parameters() if parameter.requires_grad}
    assert {name for name in trained if "lora_" not in name} == {
        f"head.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    assert len(guidance.trainable()) == len(trained) == 4 + 2 * 2
    optimizer = torch.optim.SGD(guidance.trainable(), lr=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        values(guidance, rollouts).sum().backward()
        optimizer.step()
    for name, parameter in guidance.named_parameters():
        assert (parameter.grad is not None) == (name in trained)
        assert parameter.grad is None or parameter.grad.any()


def test_dropout_only_in_its_own_fit(make: Make, make_rollouts: MakeRollouts) -> None:
    guidance, rollouts = make(lora=Lora(r=2, dropout=0.9)), make_rollouts([["bcd", "ef"]])
    shake(guidance)
    assert torch.equal(values(guidance, rollouts), values(guidance, rollouts))
    guidance.train()
    for name, module in guidance.named_modules():
        module.training &= "lora_dropout" in name  # the backbone's own dropout is another one
    assert not torch.equal(values(guidance, rollouts), values(guidance, rollouts))


def test_same_seed_same_adapters(make: Make) -> None:
    torch.manual_seed(1)
    one, other = make(seed=4), make(seed=5)
    torch.manual_seed(2)
    again = make(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.trainable(), again.trainable(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.trainable(), other.trainable(), strict=True))


def test_the_state_holds_head_and_adapters(make: Make, make_rollouts: MakeRollouts) -> None:
    guidance, rollouts = make(seed=1), make_rollouts([["bcd", "e"]], ["fg"])
    shake(guidance)
    state = guidance.state_dict()
    rest = {name for name in state if "lora_" not in name and not name.startswith("head.")}
    assert rest == {"backbone.frozen_sha256"}
    fresh = make(seed=2)
    fresh.load_state_dict(state)
    assert torch.equal(values(fresh, rollouts), values(guidance, rollouts))
    with pytest.raises(CheckpointError, match="trained on other frozen weights"):
        fresh.load_state_dict({**state, "backbone.frozen_sha256": torch.zeros(4, dtype=torch.int64)})


def test_saved_adapters_stand_beside_the_head(
    make: Make, make_rollouts: MakeRollouts, model_folder: Path, tmp_path: Path
) -> None:
    guidance, rollouts = make(lora=Lora(r=2, modules=("c_attn", "mlp.c_fc"))), make_rollouts([["bcd", "e"]], ["fg"])
    shake(guidance)
    guidance.save_pretrained(tmp_path / "guidance")
    assert not list((tmp_path / "guidance").rglob("*.bin"))
    assert not (tmp_path / "guidance" / "backbone" / "model.safetensors").exists()
    config = json.loads((tmp_path / "guidance" / "backbone" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(model_folder)
    loaded = load_guidance(tmp_path / "guidance")
    assert loaded.options == guidance.options
    assert torch.equal(values(loaded, rollouts), values(guidance, rollouts))
    base = AutoModel.from_pretrained(model_folder, dtype=torch.float32)
    plain = peft.PeftModel.from_pretrained(base, str(tmp_path / "guidance" / "backbone")).eval()
    ids = torch.tensor([[0, 6, 7, 2]])
    with torch.no_grad():
        assert torch.equal(plain(input_ids=ids).last_hidden_state, guidance.network(input_ids=ids).last_hidden_state)


def test_the_base_model_is_found_by_its_name(make: Make, model_folder: Path, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    asked: list[str] = []

    def locate(name: str) -> str:
        asked.append(name)
        return name

    load_guidance(tmp_path, locate)
    assert asked == [str(model_folder)]
    (tmp_path / "backbone" / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"must hold saved guidance.*adapter_model\.safetensors"):
        load_guidance(tmp_path)


def test_what_contradicts_itself_is_refused(
    make: Make, model_folder: Path, policy: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="`freeze_backbone` must be false with `lora`"):
        Learned(str(model_folder), freeze_backbone=True, lora=Lora())
    with pytest.raises(ModelError, match="'attn' names none"):
        make(lora=Lora(modules=("attn",)))
    tokenizer.save_pretrained(tmp_path)
    grown = type(tokenizer).from_pretrained(tmp_path)
    grown.add_tokens(["<good>"], special_tokens=True)
    with monkeypatch.context() as patch:
        patch.setattr(policy, "tokenizer", grown)
        with pytest.raises(ModelError, match=r"`guidance\.lora` keeps embeddings frozen, but the policy has 1 tokens"):
            make()
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r'pip install "tgframe\[lora\]"'):
        make()
    make(lora=None)
