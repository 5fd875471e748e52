"""Recipes with adapters and with reference models: what is refused before anything is loaded, and whole runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import tgframe
from tgframe import ModelError, RecipeError
from tgframe.compose import build, machine_of
from tgframe.engine.reference import ReferencePolicy
from tgframe.recipe.dump import dump_recipe
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import Plugins, load_plugins
from tgframe.runtime.checkpoint import read_checkpoint
from tgframe.testing import make_tokenizer, write_tiny_model

PLUGIN = '''
"""A task of a few sentences, and an objective that holds the policy to its reference."""

import attrs

from tgframe import GuidanceModel, LMObjective, Lora, hookimpl


@attrs.frozen
class Leash(LMObjective):
    """Raises the probability of what was drawn, against the log-ratio to the reference."""

    def needs(self):
        return frozenset({"policy_logprobs", "reference_logprobs"})

    def loss(self, step):
        ratio = step.policy_logprobs - step.reference_logprobs
        loss = (ratio**2 - step.policy_logprobs)[step.rollouts.mask].mean()
        return loss, {"ratio": ratio.detach().abs().max()}


@attrs.frozen
class Adapted(GuidanceModel):
    """Guidance with adapters, for checks alone."""

    lora: Lora | None = None
    """Adapters."""

    def values(self, step):
        raise NotImplementedError


@hookimpl
def tgframe_register_tasks(register):
    register("sentences", "tgframe.testing:FakeTask")


@hookimpl
def tgframe_register_objectives(register):
    register("leash", "leash:Leash")


@hookimpl
def tgframe_register_guidance(register):
    register("adapted", "leash:Adapted")
'''
LORA = {"r": 2, "modules": ["c_attn", "c_fc"]}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Plugins:
    file = tmp_path_factory.mktemp("plugin") / "leash.py"
    file.write_text(PLUGIN)
    return load_plugins(files=[file])


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    model = str(write_tiny_model(tmp_path / "model"))

    def recipe(lora: Any = LORA, reference: Any = "adapters-off", **sections: Any) -> dict[str, Any]:
        return {
            "task": {"type": "sentences"},
            "policy": {"type": "causal", "model": model, "lora": lora},
            "objective": {"type": "leash"},
            "sampler": {"type": "sample", "max_new_tokens": 4},
            "reference": reference if isinstance(reference, dict) else {"type": reference},
            "schedule": {"steps": 3, "improve": {"prompts": 2, "completions": 3}},
            "optimizer": {"policy": {"lr": 0.1}},
            "runtime": {"tensorboard": False, "device": "cpu"},
            **sections,
        }

    return recipe


def mistakes(source: Any, plugins: Plugins) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(source, (), plugins)
    return caught.value.mistakes


def test_adapters_off_needs_adapters(recipe: Any, plugins: Plugins, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(dump_recipe(recipe(lora=None)))
    (line,) = mistakes(file, plugins)
    at = file.read_text().splitlines().index("  type: adapters-off") + 1
    assert line.startswith(f"{file}:{at}:")
    assert line.endswith("Add `lora: {}` to `policy`, or write `type: initial`.")
    file.write_text(dump_recipe(recipe(policy={"type": "adaptor", "model": "tiny"})))
    assert "a policy that has no adapters" in mistakes(file, plugins)[0]


def test_adapters_off_and_initial_have_no_model(recipe: Any, plugins: Plugins) -> None:
    for kind in ("adapters-off", "initial"):
        (line,) = mistakes(recipe(reference={"type": kind, "model": "x"}), plugins)
        assert f"`reference.model` must be left out with `type: {kind}`, but is 'x' instead." in line
    assert "`reference.model` is missing" in mistakes(recipe(reference="model"), plugins)[0]


def test_mistaken_adapters_are_told_with_their_place(recipe: Any, plugins: Plugins) -> None:
    found = mistakes(recipe(lora={"r": 0, "alpha": 0.0, "dropout": 1.0, "modules": [], "rank": 2}), plugins)
    told = "\n".join(found)
    for path in (
        "`policy.lora.r` must be >= 1",
        "`policy.lora.alpha` must be > 0",
        "`policy.lora.dropout` must be < 1",
    ):
        assert path in told
    assert "`policy.lora.modules` must have a length >= 1" in told
    assert "`policy.lora.rank` is not known here" in told
    assert len(found) == 5


def test_without_peft_every_section_that_needs_it_is_told(
    recipe: Any, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    ground = {"steps": 1, "ground": {"steps": 1}}
    guided = recipe(
        guidance={"type": "adapted", "lora": {}},
        aggregator={"type": "sum"},
        preference={"type": "function", "call": "builtins:len"},
        schedule=ground,
    )
    found = [line for line in mistakes(guided, plugins) if "peft" in line]
    assert [line.split("`")[1] for line in found] == ["policy.lora", "guidance.lora"]
    assert all(
        line.endswith('needs the package `peft`, which is not installed. Run `pip install "tgframe[lora]"`.')
        for line in found
    )
    load_recipe(recipe(lora=None, reference="initial"), (), plugins)


def test_recipes_with_adapters_survive_the_round_trip(recipe: Any, plugins: Plugins, tmp_path: Path) -> None:
    loaded = load_recipe(recipe(), (), plugins)
    assert loaded.recipe.policy.lora == tgframe.Lora(r=2, modules=("c_attn", "c_fc"))  # type: ignore[attr-defined]
    (tmp_path / "again.yaml").write_text(dump_recipe(loaded.resolved))
    assert load_recipe(tmp_path / "again.yaml", (), plugins).recipe == loaded.recipe


def test_options_import_nothing_heavy() -> None:
    code = (
        "import sys, tgframe, tgframe.policies.causal\n"
        "assert tgframe.policies.causal.Causal('x', lora=tgframe.Lora(r=2)).provides() == {'adapters'}\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def finished(recipe: Any, plugins: Plugins, tmp_path: Path) -> Callable[..., Path]:
    def finished(name: str, **options: Any) -> Path:
        pytest.importorskip("peft", reason="an optional dependency")
        return tgframe.run(recipe(**options), output=tmp_path / name, plugins=plugins)

    return finished


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["phase"] == "improve"]


def test_all_references_to_the_start_give_the_same_run(finished: Any, recipe: Any) -> None:
    model = recipe()["policy"]["model"]
    kinds = ("adapters-off", "initial", {"type": "model", "model": model})
    found = [losses(finished(f"run-{number}", reference=kind)) for number, kind in enumerate(kinds)]
    assert len(set(found[0])) == 3
    assert found[0] == found[1] == found[2]


def test_a_finished_run_is_loaded(finished: Any, plugins: Plugins, recipe: Any) -> None:
    folder = finished("run")
    files = {path.name for path in (folder / "policy").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= files
    config = json.loads((folder / "policy" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == recipe()["policy"]["model"]
    state = read_checkpoint(folder / "checkpoints" / "step-3")["policy"]
    assert {name for name in state if "lora_" not in name} == {"_extra_state", "model.frozen_sha256"}
    run: Any = tgframe.load(folder, plugins)
    assert all(torch.equal(run.policy.state_dict()[name], value) for name, value in state.items())
    rollouts = run.policy.complete(run.policy.encode(["A"], ["0"]), [["b"]])
    assert run.policy.version == 3
    assert not torch.equal(run.policy.score(rollouts).logprobs, run.context.reference.score(rollouts).logprobs)


def test_another_reference_has_no_adapters_and_the_same_vocabulary(
    recipe: Any, plugins: Plugins, tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="an optional dependency")
    other = str(write_tiny_model(tmp_path / "other", seed=1))
    loaded = load_recipe(recipe(reference={"type": "model", "model": other}), (), plugins)
    context, parts = build(loaded, plugins, machine_of(loaded.recipe))
    assert isinstance(parts.reference, ReferencePolicy)
    assert context.reference is parts.reference
    (inside,) = parts.reference._held
    assert not any("lora_" in name for name, _ in inside.named_parameters())  # type: ignore[attr-defined]
    assert not any(parameter.requires_grad for parameter in inside.parameters())  # type: ignore[attr-defined]
    make_tokenizer("abc").save_pretrained(other)
    with pytest.raises(ModelError, match=r"`reference\.model` must have the policy's vocabulary"):
        build(loaded, plugins, machine_of(loaded.recipe))
