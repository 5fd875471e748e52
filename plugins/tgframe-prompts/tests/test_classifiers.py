from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from tgframe import ModelError
from tgframe_prompts.classifiers.head import PositionHead
from tgframe_prompts.classifiers.options import CausalLM, Embedding, MaskedLM

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
BERT = {**SMALL, "vocab_size": 90, "max_position_embeddings": 40, "initializer_range": 0.3}
MODELS = {
    "roberta": lambda: hf.RobertaForMaskedLM(hf.RobertaConfig(**BERT)),
    "roberta-prelayernorm": lambda: hf.RobertaPreLayerNormForMaskedLM(hf.RobertaPreLayerNormConfig(**BERT)),
    "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**BERT)),
    "electra": lambda: hf.ElectraForMaskedLM(hf.ElectraConfig(**BERT, embedding_size=16)),
    "distilbert": lambda: hf.DistilBertForMaskedLM(
        hf.DistilBertConfig(vocab_size=90, dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=40)
    ),
    "modernbert": lambda: hf.ModernBertForMaskedLM(
        hf.ModernBertConfig(**SMALL, vocab_size=90, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1)
    ),
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=90, n_embd=32, n_layer=2, n_head=2, n_positions=40)),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL, vocab_size=90)),
}

HEAD_ONLY = ("distilbert", "modernbert", "gpt2", "llama")


@pytest.mark.parametrize("name", MODELS)
def test_reduced_heads_equal_whole_models(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    for parameter in model.parameters():  # biases, too
        torch.nn.init.normal_(parameter, std=0.2)
    tokens, ids = torch.tensor([5, 80, 7]), torch.randint(3, 90, (4, 12))
    mask = (torch.arange(12) < torch.tensor([[12], [9], [5], [12]])).long()
    positions = torch.tensor([11, 3, 4, 0])
    with torch.no_grad():
        whole = model(input_ids=ids, attention_mask=mask).logits[torch.arange(4), positions][:, tokens]
        head = PositionHead(model, tokens)
        torch.testing.assert_close(head.logits(ids, mask, positions), whole, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(head.logits(ids[:1], None, positions[:1]), whole[:1], atol=1e-5, rtol=1e-5)
    assert head.reduced == (("head",) if name in HEAD_ONLY else ("head", "layer"))


def test_heads_that_mix_positions_stay_whole() -> None:
    model = MODELS["roberta"]().eval()
    head = model.lm_head
    head.forward = lambda states, forward=head.forward: forward(states - states.mean(1, keepdim=True))
    tokens, ids = torch.tensor([5, 8]), torch.randint(3, 90, (2, 6))
    with torch.no_grad():
        whole = model(input_ids=ids).logits[torch.arange(2), torch.tensor([1, 4])][:, tokens]
        found = PositionHead(model, tokens)
        assert torch.equal(found.logits(ids, None, torch.tensor([1, 4])), whole)
    assert found.reduced == ()


@pytest.fixture
def causal(tmp_path: Path, tokenizer: Any) -> str:
    torch.manual_seed(0)
    size = len(tokenizer)
    model = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=64))
    model.save_pretrained(tmp_path / "causal")
    tokenizer.save_pretrained(tmp_path / "causal")
    return str(tmp_path / "causal")


def test_causal_reads_the_last_token(build: Callable[..., Any], causal: str, tokenizer: Any) -> None:
    task = build(classifier=CausalLM(causal), template="{text} {prompt}:{mask}")
    found = task.search.logits([" p"], "train")
    model = hf.AutoModelForCausalLM.from_pretrained(causal).eval()
    words = task.scorer.classifier.head.tokens
    for text, logits in zip(task.splits["train"].texts, found[0], strict=True):
        ids = [tokenizer.bos_token_id, *tokenizer(f"{text}  p:", add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            torch.testing.assert_close(logits, model(torch.tensor([ids])).logits[0, -1, words], atol=1e-5, rtol=0)


def test_causal_templates_end_with_the_mask(build: Callable[..., Any], causal: str) -> None:
    with pytest.raises(ModelError, match=r"must end with \{mask\}"):
        build(classifier=CausalLM(causal), template="{mask} {prompt} {text}")


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_embedding_reads_cosines(build: Callable[..., Any], masked: str, tokenizer: Any, pooling: Any) -> None:
    words = {"cat": "a cat that purrs", "dog": "a dog", "bird": "birds"}
    task = build(classifier=Embedding(masked, pooling=pooling, scale=10.0), verbalizers=words)
    model = hf.AutoModel.from_pretrained(masked).eval()

    def embed(text: str) -> torch.Tensor:
        with torch.no_grad():
            states = model(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0]
        return torch.nn.functional.normalize(states.mean(0) if pooling == "mean" else states[0], dim=-1)

    anchors = torch.stack([embed(word) for word in words.values()])
    expected = torch.stack([10 * anchors @ embed(text + " p") for text in task.splits["train"].texts])
    torch.testing.assert_close(task.search.logits([" p"], "train")[0], expected, atol=1e-4, rtol=0)


def test_embedding_verbalizers_differ(build: Callable[..., Any], masked: str) -> None:
    with pytest.raises(ModelError, match="must differ from that of 'cat'"):
        build(classifier=Embedding(masked), verbalizers={"cat": "pet", "dog": " pet", "bird": "bird"})


def test_models_without_a_mask_token(build: Callable[..., Any], masked: str, tmp_path: Path, tokenizer: Any) -> None:
    hf.AutoModelForMaskedLM.from_pretrained(masked).save_pretrained(tmp_path / "m")
    bare = hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, pad_token="<pad>")
    bare.save_pretrained(tmp_path / "m")
    with pytest.raises(ModelError, match=r"must have a mask token.*causal-lm"):
        build(classifier=MaskedLM(str(tmp_path / "m")))


def test_models_that_cannot_be_loaded(build: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"task.classifier.model.*cannot be loaded"):
        build(classifier=MaskedLM(str(tmp_path / "empty")))


@pytest.mark.parametrize("limit", [None, 30])
def test_long_texts_are_cut_and_counted(
    build: Callable[..., Any], data: Callable[..., Any], masked: str, limit: int | None
) -> None:
    long = {"text": ["it sings " * 100, "it", "it"], "label": ["cat", "dog", "bird"]}
    task = build(data(test=long), classifier=MaskedLM(masked, max_length=limit))
    assert task.scorer.classifier.max_length == (limit or 64)
    found = task.measure([" a", " the"], "test")
    assert found.details["texts_cut"] == 1


def test_models_without_a_trained_head(build: Callable[..., Any], causal: str, tmp_path: Path, tokenizer: Any) -> None:
    hf.RobertaModel(hf.RobertaConfig(**{**BERT, "vocab_size": len(tokenizer)})).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    with pytest.raises(ModelError, match=r"must hold all weights of RobertaForMaskedLM.*lm_head"):
        build(classifier=MaskedLM(str(tmp_path / "m")))
    with pytest.raises(ModelError, match=r"must be a model that AutoModelForMaskedLM can load"):
        build(classifier=MaskedLM(causal))
