"""A small random GPT-2 that has opinions, with a tokenizer of letters, saved in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe.testing import make_context, make_tokenizer

ALPHABET = "abcdefghij "
END = len(ALPHABET)


def write_model(folder: Path, seed: int = 0, positions: int = 64) -> Path:
    """Write a 2 x 32 model whose next-token distributions are far from uniform, and end often enough."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=END + 1,
        n_positions=positions,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=END,
        eos_token_id=END,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2:
                    parameter.mul_(8.0 if "wte" in name else 4.0)
    model.save_pretrained(folder)
    make_tokenizer(ALPHABET).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved model."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same shape with other weights."""
    return write_model(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(params=["causal", "adaptor"])
def policy(request: pytest.FixtureRequest, folder: Path) -> Any:
    """Both policies over the same model; the adaptor's weights are large enough to matter."""
    from tgframe.policies.adaptor import Adaptor
    from tgframe.policies.causal import Causal

    specifications = {"causal": Causal(str(folder)), "adaptor": Adaptor(str(folder), hidden=48, gain=2.0, bias=0.1)}
    return specifications[request.param].build(make_context())


@pytest.fixture
def prompts(policy: Any) -> Any:
    """Prompts of different lengths, one of them empty."""
    return policy.encode(["abc", "", "a longer bead", "jig"], ["0", "1", "2", "3"])
