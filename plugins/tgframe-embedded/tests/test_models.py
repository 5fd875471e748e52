"""The shipped models load, are what their checksums say, and know what their card says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from tgframe import ModelError
from tgframe_embedded.landscape import Classifier
from tgframe_embedded.locate import FOLDER, Embedded, names
from tgframe_embedded.packages import DEFAULT_PACKAGES, SINGLE_TOKENS
from tgframe_embedded.training.export import CHECKSUMS, LIMIT, checksums


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(params=["causal", "masked", "seq2seq"])
def folder(request: pytest.FixtureRequest) -> Path:
    return Embedded().locate(request.param)


def test_all_models_are_there() -> None:
    assert names() == ["causal", "masked", "seq2seq"]


def test_an_unknown_model_is_told_with_the_nearest() -> None:
    with pytest.raises(
        ModelError, match=r"causal, masked, seq2seq, but is 'mask' instead\. Did you mean 'embedded/masked'\?"
    ):
        Embedded().locate("mask")


def test_files_are_those_of_the_checksums(folder: Path) -> None:
    assert "".join(checksums(folder)) == (folder / CHECKSUMS).read_text()


def test_weights_are_small(folder: Path) -> None:
    assert 1_000_000 < (folder / "model.safetensors").stat().st_size <= LIMIT


def test_models_load_as_float32_without_dropout() -> None:
    causal = AutoModelForCausalLM.from_pretrained(FOLDER / "causal")
    masked = AutoModelForMaskedLM.from_pretrained(FOLDER / "masked")
    seq2seq = AutoModelForSeq2SeqLM.from_pretrained(FOLDER / "seq2seq")
    assert causal.dtype == masked.dtype == seq2seq.dtype == torch.float32
    assert causal.config.resid_pdrop == causal.config.embd_pdrop == causal.config.attn_pdrop == 0
    assert masked.config.hidden_dropout_prob == masked.config.attention_probs_dropout_prob == 0
    assert seq2seq.config.dropout == seq2seq.config.attention_dropout == seq2seq.config.activation_dropout == 0


def test_specials_are_where_the_configuration_says() -> None:
    causal, masked, seq2seq = (AutoTokenizer.from_pretrained(FOLDER / name) for name in names())
    assert causal.convert_ids_to_tokens(range(5)) == ["<s>", "</s>", "<pad>", "<mask>", "<unk>"]
    assert causal.get_vocab() == masked.get_vocab() == seq2seq.get_vocab()
    assert len(causal) == 8000
    assert causal("x")["input_ids"][0] == masked("x")["input_ids"][0] == causal.bos_token_id
    assert masked("x")["input_ids"][-1] == masked.eos_token_id != causal("x")["input_ids"][-1]
    assert seq2seq("x")["input_ids"] == [*seq2seq.encode("x", add_special_tokens=False), seq2seq.eos_token_id]


def test_text_survives_the_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = " Adds é to x_1,\n  then >>> returns."
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize("name", SINGLE_TOKENS)
def test_verbalisers_are_single_tokens(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "masked")
    assert len(tokenizer.encode(name, add_special_tokens=False)) == 1
    assert len(tokenizer.encode(f" {name}", add_special_tokens=False)) == 1


def test_causal_model_expects_text_rather_than_noise() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "causal")
    model = AutoModelForCausalLM.from_pretrained(FOLDER / "causal").eval()
    ids = tokenizer("Returns the number of elements in the array.", return_tensors="pt")["input_ids"]
    shuffled = torch.cat([ids[:, :1], ids[:, 1:].flip(1)], dim=1)
    with torch.inference_mode():
        likely, unlikely = (model(row, labels=row).loss.item() for row in (ids, shuffled))
    assert likely < 6.5  # 9.0 for a model that knows nothing
    assert likely < unlikely - 1


def test_masked_model_tells_unseen_texts_when_asked_rightly(rows: dict[str, list[dict[str, str]]]) -> None:
    classifier = Classifier(FOLDER / "masked", DEFAULT_PACKAGES)
    sample = rows["test"][:150]
    asked, unasked = (classifier.accuracy(sample, prompt) for prompt in (" from the package", ""))
    assert asked > 0.6  # chance is 0.2
    assert asked > unasked + 0.03


def test_encoder_decoder_starts_where_its_labels_start_and_stops_at_the_end() -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "seq2seq")
    model = AutoModelForSeq2SeqLM.from_pretrained(FOLDER / "seq2seq").eval()
    batch = tokenizer("sort values: Parameters by : str or list of str", return_tensors="pt")
    written = model.generate(**batch, do_sample=False, max_new_tokens=32)[0]
    assert written[0] == model.generation_config.decoder_start_token_id == tokenizer.bos_token_id
    assert written[-1] == model.generation_config.eos_token_id == tokenizer.eos_token_id
    shifted = model.prepare_decoder_input_ids_from_labels(written[None, 1:])
    assert torch.equal(shifted[0], written[:-1])


def test_logits_do_not_depend_on_the_company() -> None:
    classifier = Classifier(FOLDER / "masked", DEFAULT_PACKAGES)
    texts = ["Return the mean over the columns of a frame.", "Check", "Find all simple paths in a directed graph."]
    together = classifier.logits(texts, " in")
    alone = torch.cat([classifier.logits([text], " in") for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_checksums_notice_a_changed_byte(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert list(checksums(tmp_path)) == [f"{hashlib.sha256(b'1').hexdigest()}  a\n"]
