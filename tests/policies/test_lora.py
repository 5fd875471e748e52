"""Policies with low-rank adapters: what is trained, drawn, saved, copied and refused."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe.errors import CheckpointError, ModelError
from tgframe.interfaces.policy import Limits
from tgframe.policies.adapters import linear_layers
from tgframe.policies.causal import Causal
from tgframe.policies.loading import load_policy
from tgframe.policies.lora import Lora
from tgframe.policies.lora_policy import LoraPolicy
from tgframe.runtime.checkpoint import read_checkpoint, write_checkpoint
from tgframe.runtime.pretrained import load_model
from tgframe.testing import PlainDraw, PolicyContract, make_context

peft = pytest.importorskip("peft", reason="an optional dependency")


class TestLora(PolicyContract):
    def make(self) -> Causal:
        return Causal("tiny", lora=Lora(r=2, dropout=0.5, modules=("c_attn", "mlp.c_fc")))


def build(folder: Path, seed: int = 0, dtype: Any = "float32", **options: Any) -> Any:
    return Causal(str(folder), dtype, lora=Lora(**options)).build(make_context(seed=seed))


def scored(policy: Any) -> torch.Tensor:
    prompts = policy.encode(["abc", ""], ["0", "1"])
    return policy.score(policy.complete(prompts, [["ab"], ["jig"]])).logprobs.detach()


@torch.no_grad()
def shake(policy: Any, seed: int = 0) -> None:
    torch.manual_seed(seed)
    for parameter in policy.trainable():
        parameter.add_(0.3 * torch.randn(parameter.shape))


def train(policy: Any, steps: int = 2) -> None:
    optimizer = torch.optim.SGD(policy.trainable(), lr=0.5)
    prompts = policy.encode(["abc", ""], ["0", "1"])
    rollouts = policy.complete(prompts, [["ab"], ["jig"]])
    for _ in range(steps):
        optimizer.zero_grad()
        (-policy.score(rollouts).logprobs.sum()).backward()
        optimizer.step()


@pytest.fixture
def policy(folder: Path) -> Any:
    return build(folder)


@pytest.mark.filterwarnings("error")
def test_new_adapters_change_nothing(folder: Path) -> None:
    policy = build(folder)
    base: Any = Causal(str(folder)).build(make_context())
    assert isinstance(policy, LoraPolicy)
    assert torch.equal(scored(policy), scored(base))
    shake(policy)
    assert not torch.allclose(scored(policy), scored(base), atol=0.01)


def test_adapters_alone_are_trained(policy: Any, folder: Path) -> None:
    names = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert names
    assert all(".c_attn.lora_" in name for name in names), "what peft has on record for GPT-2"
    assert sum(parameter.numel() for parameter in policy.trainable()) == 2 * 8 * (32 + 96)
    train(policy)
    frozen = {name: tensor for name, tensor in policy.language_model.state_dict().items() if "lora_" not in name}
    base = Causal(str(folder)).build(make_context()).language_model.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(tensor, base[name.replace(".base_layer", "")]) for name, tensor in frozen.items())
    assert len(frozen) == len(base)
    for name, parameter in policy.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name)


def test_the_update_is_alpha_over_r_times_the_factors(folder: Path) -> None:
    policy = build(folder, r=4, alpha=2.0, modules=("h.1.attn.c_attn",))
    shake(policy)
    layer = policy.language_model.transformer.h[1].attn.c_attn
    states = torch.randn(3, 32)
    into, out = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = states @ (layer.base_layer.weight + 2.0 / 4 * (out @ into).T) + layer.base_layer.bias
    torch.testing.assert_close(layer(states), expected)


def test_adapters_come_from_the_runs_seed_alone(folder: Path) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = build(folder, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = build(folder, seed=3), build(folder, seed=4)
    weights = [[*policy.trainable()] for policy in (one, again, other)]
    assert all(torch.equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


def test_dropout_acts_in_training_mode_alone(folder: Path) -> None:
    policy = build(folder, dropout=0.5)
    shake(policy)
    assert not any(module.training for module in policy.modules())
    expected = scored(policy)
    assert torch.equal(scored(policy), expected)
    policy.model.train()
    assert not torch.equal(scored(policy), expected)
    prompts = policy.encode(["a"], ["0"])
    drawn = [
        policy.sample(prompts, 4, PlainDraw(), Limits(8, 8), torch.Generator().manual_seed(0)).sample_logprobs
        for _ in range(2)
    ]
    assert torch.equal(*drawn), "dropout was on in sampling"


def test_adapters_of_half_precision_models_are_single_precision(folder: Path) -> None:
    policy = build(folder, dtype="bfloat16")
    assert {parameter.dtype for parameter in policy.trainable()} == {torch.float32}
    assert policy.language_model.transformer.wte.weight.dtype == torch.bfloat16
    train(policy)
    assert all(parameter.grad.any() for name, parameter in policy.named_parameters() if "lora_B" in name)


def test_the_state_holds_adapters_alone(policy: Any, folder: Path, other_folder: Path, tmp_path: Path) -> None:
    shake(policy)
    policy.version = 3
    state = policy.state_dict()
    assert {name for name in state if "lora_" not in name} == {"_extra_state", "model.frozen_sha256"}
    write_checkpoint(tmp_path / "step-3", {"policy": state})
    fresh = build(folder, seed=5)
    fresh.load_state_dict(read_checkpoint(tmp_path / "step-3")["policy"])
    assert torch.equal(scored(fresh), scored(policy))
    assert fresh.version == 3
    with pytest.raises(CheckpointError, match="trained on other frozen weights"):
        build(other_folder).load_state_dict(state)
    with pytest.raises(RuntimeError, match="lora_A"):
        fresh.load_state_dict({name: value for name, value in state.items() if "lora_A" not in name})
    with pytest.raises(RuntimeError, match="Unexpected"):
        fresh.load_state_dict({**state, "model.nonsense": torch.zeros(1)})


def test_plain_peft_loads_what_was_saved(policy: Any, folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shake(policy)
    policy.save_pretrained(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert "model.safetensors" not in names
    config = json.loads((tmp_path / "saved" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(folder)
    assert (config["task_type"], config["target_modules"], config["r"]) == ("CAUSAL_LM", ["c_attn"], 8)
    assert config["fan_in_fan_out"], "GPT-2 keeps its weights transposed"
    base = AutoModelForCausalLM.from_pretrained(folder)
    loaded = peft.PeftModel.from_pretrained(base, str(tmp_path / "saved")).eval()
    tokens = torch.tensor([[0, 3, 5, 1]])
    with torch.no_grad():
        assert torch.equal(loaded(tokens).logits, policy(tokens, torch.ones_like(tokens, dtype=torch.bool)))
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").eos_token_id == policy.special.end


def test_saved_policies_come_back(policy: Any, folder: Path, tmp_path: Path) -> None:
    shake(policy)
    policy.save_pretrained(tmp_path / "saved")
    torch.manual_seed(0)
    state = torch.get_rng_state()
    again = load_policy(tmp_path / "saved", make_context().runtime)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(scored(again), scored(policy))
    assert len([*again.trainable()]) == len([*policy.trainable()])
    asked: list[str] = []
    load_policy(tmp_path / "saved", make_context().runtime, lambda name: asked.append(name) or name)
    assert asked == [str(folder)]


def test_damaged_adapters_are_told(policy: Any, folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    policy.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    missing = sorted(weights)[0]
    save_file(
        {name: tensor for name, tensor in weights.items() if name != missing}, tmp_path / "adapter_model.safetensors"
    )
    with pytest.raises(ModelError, match=r"do not fit the model, such as .*lora_A"):
        load_policy(tmp_path, make_context().runtime)
    torch.save(weights, tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"could not be loaded: .* and 'adapter_model.safetensors', and the base"):
        load_policy(tmp_path, make_context().runtime)


def test_a_folder_of_adapters_is_no_model(policy: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="holds adapters, not a whole model"):
        load_model(AutoModelForCausalLM, str(tmp_path))


def test_a_copy_shares_the_frozen_weights(policy: Any) -> None:
    shake(policy)
    twin = copy.deepcopy(policy).requires_grad_(False)
    expected = scored(policy)
    shake(policy, seed=1)
    assert torch.equal(scored(twin), expected)
    assert not torch.equal(scored(policy), expected)
    assert all(parameter.requires_grad for parameter in policy.trainable())
    for (name, one), (_, other) in zip(policy.named_parameters(), twin.named_parameters(), strict=True):
        assert (one is other) == ("lora_" not in name)
    policy.load_state_dict(twin.state_dict())
    assert torch.equal(scored(policy), expected)


def test_vocabularies_do_not_grow(policy: Any) -> None:
    assert policy.add_tokens(["c", "a"]) == (2, 0), "they are there already"
    with pytest.raises(ModelError, match=r"'<good>' must be added .* Leave out `policy\.lora`"):
        policy.add_tokens(["a", "<good>"])
    assert len(policy.tokenizer) == 12


def test_modules_that_name_nothing_are_told(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"'c_atn' names none\. Did you mean 'c_attn'\? It has 'c_attn', 'c_fc', 'c_p"):
        build(folder, modules=("c_attn", "c_atn"))
    with pytest.raises(ModelError, match="'lm_head' names none"):
        build(folder, modules=("lm_head",))


def test_architectures_that_peft_does_not_know_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Causal(str(folder)).build(make_context()).language_model  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model.config), "model_type", "unheard-of")
    with pytest.raises(ModelError, match=r"Name linear layers of it in `lora\.modules`, such as 'c_attn', 'c_fc'"):
        Lora().apply(model, torch.Generator())


def test_linear_layers_of_other_architectures(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = LlamaForCausalLM(config).eval()
    assert "lm_head" not in linear_layers(model)
    adapted = Lora(modules=("q_proj", "down_proj")).apply(model, torch.Generator().manual_seed(0), "llama")
    names = {name.split(".lora_")[0].rpartition(".")[2] for name, p in adapted.named_parameters() if p.requires_grad}
    assert names == {"q_proj", "down_proj"}
    assert not adapted.peft_config["default"].fan_in_fan_out
    assert not adapted.training


def test_without_peft_the_remedy_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r'needs the package `peft`.* Run `pip install "tgframe\[lora\]"`'):
        build(folder)
    scored(Causal(str(folder)).build(make_context()))


@pytest.mark.parametrize("name", ["lora", "adapters", "lora_policy", "loading", "causal"])
def test_importing_needs_no_peft(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    spec = importlib.util.find_spec(f"tgframe.policies.{name}")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))  # once more, in a module of its own


def test_the_base_model_is_called_what_the_recipe_calls_it(tmp_path: Path) -> None:
    policy: Any = Causal("my/tiny", lora=Lora()).build(make_context(cache_dir=tmp_path))
    policy.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "my/tiny"
