"""Names of models, and what is said when one cannot be had."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import pytest
from transformers import AutoModel, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from tgframe import ModelSource
from tgframe.errors import ModelError
from tgframe.runtime.locate import Locator, find_in_package
from tgframe.runtime.pretrained import load_model, load_tokenizer
from tgframe.testing import write_tiny_model


@attrs.frozen
class Shelf(ModelSource):
    """Has every model."""

    def locate(self, name: str) -> Path:
        return Path("/shelf") / name


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation folder that Python looks into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


def install(site: Path, name: str, files: list[str]) -> None:
    """Install a distribution that consists of ``files``."""
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_names_go_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    locate = Locator({"embedded": Shelf()}, tmp_path)
    assert locate("embedded/causal") == "/shelf/causal"
    assert locate("embedded/deep/causal") == "/shelf/deep/causal"
    assert locate("mine") == str(tmp_path / "mine")
    assert locate(str(tmp_path / "mine")) == str(tmp_path / "mine")
    assert locate("openai-community/gpt2") == "openai-community/gpt2"
    assert locate("embedded") == "embedded"


def test_a_model_inside_a_distribution(site: Path) -> None:
    install(
        site, "one-model", ["pkg/__init__.py", "pkg/model/config.json", "pkg/model/model.safetensors", "x/config.json"]
    )
    assert Locator({})("package:one-model") == str(site / "pkg" / "model")


def test_distributions_without_one_model_are_told(site: Path) -> None:
    with pytest.raises(ModelError, match=r"not installed\. Install it with `pip install not-there`"):
        find_in_package("not-there")
    install(site, "no-model", ["pkg/config.json", "other/model.safetensors"])
    with pytest.raises(ModelError, match=r"'no-model' 1\.2 holds no model"):
        find_in_package("no-model")
    install(site, "two-models", ["a/config.json", "a/model.safetensors", "b/config.json", "b/x.safetensors"])
    with pytest.raises(ModelError, match=r"holds 2 models.*site/a', .*site/b'"):
        find_in_package("two-models")
    assert metadata.distribution("two-models").version == "1.2"


@pytest.mark.parametrize("load", [lambda name: load_model(AutoModelForCausalLM, name), load_tokenizer])
def test_models_that_cannot_be_had_are_told(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="looks like a path, but there is no such folder"):
        load("./nowhere")
    with pytest.raises(ModelError, match=r"could not be loaded: \S"):
        load(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"'no-such-model' could not be loaded: .* HF_HUB_OFFLINE is set"):
        load("no-such-model")


def test_a_good_folder_is_loaded_in_float32_and_evaluation_mode(tmp_path: Path) -> None:
    import torch

    folder = str(write_tiny_model(tmp_path))
    half = GPT2LMHeadModel.from_pretrained(folder).to(torch.float16)
    half.save_pretrained(folder)
    model = load_model(AutoModelForCausalLM, folder)
    assert model.dtype == torch.float32
    assert not model.training
    assert load_tokenizer(folder).eos_token_id == 256


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    import torch

    folder = write_tiny_model(tmp_path)
    state = GPT2LMHeadModel.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"holds no '\*\.safetensors'"):
        load_model(AutoModelForCausalLM, str(folder))


def test_weights_that_would_be_random_are_refused(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=7, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"n_layer": 2}))
    with pytest.raises(ModelError, match="lacks 12 of the weights of GPT2LMHeadModel"):
        load_model(AutoModelForCausalLM, str(tmp_path))
    assert load_model(AutoModel, str(tmp_path), new_heads=True) is not None
