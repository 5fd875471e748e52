"""What the summarizer is trained on: copies first, then gaps and pairs."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer

from tgframe_embedded.extract import Docstring
from tgframe_embedded.locate import FOLDER
from tgframe_embedded.training import seq2seq
from tgframe_embedded.training.material import Material
from tgframe_embedded.training.pairs import COPYING, IGNORED, SOURCE, TARGET, Pairs, grounded
from tgframe_embedded.training.tokenizer import BOS, EOS, MASK, PAD

BODY = "Parameters by : str or list of str, axis : the one to be sorted. Returns a frame whose rows are in order."
NAMES = ["sort_values"] * 30 + ["_"]
FOUND = tuple(
    Docstring("pandas/a.py", line, f"Sort by the values number {line}.", BODY * (line % 3), name)
    for line, name in enumerate(NAMES)
)
MATERIAL = [Material("pandas", tuple(item.text for item in FOUND), ("import pandas as pd\n" * 40,), FOUND)]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(FOLDER / "masked" / "tokenizer.json"))


@pytest.fixture
def pairs(tokenizer: Tokenizer) -> Pairs:
    return Pairs(MATERIAL, tokenizer, 0)


@pytest.mark.parametrize("progress", [0.0, COPYING, 1.0])
def test_rows_are_closed_and_padded(pairs: Pairs, progress: float) -> None:
    sources, labels = pairs.batch(400, progress)
    assert sources.shape[1] <= SOURCE
    assert labels.shape[1] <= TARGET
    assert ((sources == EOS).sum(dim=1) == 1).all()
    assert ((labels == EOS).sum(dim=1) == 1).all()
    assert (labels != PAD).all()


def test_at_first_the_target_stands_in_the_source(pairs: Pairs) -> None:
    sources, labels = pairs.batch(64, 0.0)
    for source, label in zip(sources.tolist(), labels.tolist(), strict=True):
        span = label[: label.index(EOS)]
        end = source.index(MASK, source.index(MASK) + 1 if source.count(MASK) == 2 else 0)
        assert source[end - len(span) : end] == span


def test_at_last_most_rows_ask_for_the_summary_of_a_thinned_source(pairs: Pairs, tokenizer: Tokenizer) -> None:
    sources, labels = pairs.batch(200, 1.0)
    asked = [tokenizer.decode(row[row != IGNORED].tolist()) for row in labels]
    summarized = [
        [token for token in source if token not in (PAD, EOS)]
        for source, target in zip(sources.tolist(), asked, strict=True)
        if target.startswith("Sort by the values number") and MASK not in source
    ]
    whole = tokenizer.encode(f"sort values: {BODY * 2}", add_special_tokens=False).ids
    assert len(summarized) > 100
    assert all(_in_order(source, whole) for source in summarized)
    assert any(source != whole[: len(source)] for source in summarized)


def _in_order(few: list[int], many: list[int]) -> bool:
    rest = iter(many)
    return all(token in rest for token in few)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("sort values: by", "Sorts the values.", 1 / 2),  # "sorts" does not begin like "sort" and more
        ("returned: value", "Returns the values", 1.0),
        ("add: x", "Sum of the arguments", 0.0),
        ("add: x", "of the", 0.0),
    ],
)
def test_targets_are_grounded_in_words_that_begin_alike(source: str, target: str, expected: float) -> None:
    assert grounded(source, target) == expected


def test_fresh_cross_attention_passes_on_what_it_looks_at() -> None:
    attention = seq2seq.build(layers=1, width=64).model.decoder.layers[0].encoder_attn
    seen = torch.randn(1, 1, 64)
    passed, _ = attention(torch.randn(1, 3, 64), key_value_states=seen)
    torch.testing.assert_close(passed, seen.expand(1, 3, 64), atol=1e-5, rtol=1e-4)


def test_loss_is_that_of_the_vocabulary_before_training_and_falls(pairs: Pairs) -> None:
    torch.manual_seed(0)
    model = seq2seq.build(layers=1, width=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        losses.append(seq2seq.loss(model, pairs, 1.0))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[0].item() > 6
    assert losses[-1].item() < losses[0].item() - 2


def test_what_was_written_is_hidden_only_after_the_copies() -> None:
    inputs = torch.full((50, 20), BOS)
    assert torch.equal(seq2seq.forgetful(inputs, COPYING / 2), inputs)
    hidden = seq2seq.forgetful(inputs, COPYING) == MASK
    assert not hidden[:, 0].any()
    assert 0.1 < hidden[:, 1:].float().mean() < 0.3
