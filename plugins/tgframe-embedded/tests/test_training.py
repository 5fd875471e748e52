"""The training texts are what the cards say, and the loop learns."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoTokenizer

from tgframe_embedded.landscape import random_prompts
from tgframe_embedded.locate import FOLDER
from tgframe_embedded.training import embeddings
from tgframe_embedded.training.documents import Documents
from tgframe_embedded.training.examples import IGNORED, LENGTH, Examples, Mixture
from tgframe_embedded.training.loop import Schedule, fit
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.tokenizer import BOS, EOS, MASK, PAD

WORDS = "returns the sum of all torch elements along one axis of a frame with an index and a name"
MATERIAL = [
    Material("torch", (WORDS * 3,), ("def f(x):\n    return x + 1\n" * 40,)),
    Material("pandas", (WORDS[::-1] * 3,), ("import pandas as pd\n" * 40,)),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(FOLDER / "masked" / "tokenizer.json"))


def test_rows_hide_what_they_ask_for(tokenizer: Tokenizer) -> None:
    tokens, labels = Examples(MATERIAL, tokenizer, Mixture(), 0).batch(200)
    asked = labels != IGNORED
    assert tokens.shape == labels.shape
    assert tokens.shape[1] <= LENGTH
    assert (tokens[:, 0] == BOS).all()
    assert ((tokens == EOS).sum(dim=1) == 1).all()
    assert not (labels[asked] < 5).any()
    assert 0.8 < (tokens[asked] == MASK).float().mean() < 1.0


def test_telling_rows_ask_for_the_package_of_their_text(tokenizer: Tokenizer) -> None:
    only = Mixture(telling=1.0, mentions=0.0)
    tokens, labels = Examples(MATERIAL[:1], tokenizer, only, 0).batch(50)
    ends = (tokens != PAD).sum(dim=1) - 2
    assert (labels[torch.arange(50), ends] == tokenizer.token_to_id("Ġtorch")).all()
    assert not (tokens == tokenizer.token_to_id("Ġtorch")).sum() > 50 * 0.1  # masked, but for those shown on purpose


def test_documents_are_closed_by_their_marks(tokenizer: Tokenizer) -> None:
    rows = Documents(MATERIAL * 20, tokenizer, 0).batch(16).flatten().tolist()
    following = [after for before, after in pairwise(rows) if before == EOS]
    assert following
    assert np.mean([token == BOS for token in following]) > 0.8  # all but those at the seam of two rows


def test_embeddings_of_neighbours_are_alike() -> None:
    left, right = [[0, 1, 2] * 30] * 20, [[3, 4, 5] * 30] * 20
    torch.manual_seed(0)
    found = nn.functional.normalize(embeddings.start(left + right, 6, 4), dim=1)
    alike = found @ found.T
    assert alike[0, 1] > 0.9
    assert alike[0, 4] < 0.5


def test_loop_lowers_the_loss_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, inputs = nn.Linear(4, 1), torch.randn(64, 4)

    def loss(progress: float = 0.0) -> torch.Tensor:
        return (model(inputs) - inputs.sum(dim=1, keepdim=True)).square().mean()

    before = loss().item()
    fit(model, loss, Schedule(minutes=0.01, peak=0.05, report=20), tmp_path, lambda line: None)
    assert loss().item() < before / 2
    resumed, log = nn.Linear(4, 1), []
    fit(resumed, lambda progress: resumed(inputs).square().mean(), Schedule(minutes=1e-9), tmp_path, log.append)
    assert log[0].startswith("goes on from")
    torch.testing.assert_close(resumed.weight, model.weight)


def test_random_prompts_are_five_ordinary_tokens() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "masked")
    prompts = random_prompts(tokenizer, 20)
    assert prompts == random_prompts(tokenizer, 20) != random_prompts(tokenizer, 20, seed=1)
    assert not [prompt for prompt in prompts if "<s>" in prompt or "<mask>" in prompt]
