"""A tiny RoBERTa with a byte-level BPE of its own, a few labelled sentences, and a context to build the task in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from datasets import Dataset
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from tgframe import Context, DataSource, Splits
from tgframe.testing import make_context

LABELS = ("cat", "dog", "bird")
SENTENCES = {
    "cat": ("It purrs all day, and it sleeps.", "whiskers , claws and milk .", "the mouse fears it", "Soft paws!"),
    "dog": (
        "It barks at the postman all day long.",
        "walks , bones and a leash .",
        "it fetches",
        "Loyal: naïve café ☕",
    ),
    "bird": (
        "It sings in the old tree at dawn.",
        "feathers , eggs and a nest .",
        "it flies",
        "wings  of  two  spaces ",
    ),
}
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def make_tokenizer(words: Sequence[str] = LABELS) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE in which each of ``words`` is one token with and without a leading space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = [sentence for group in SENTENCES.values() for sentence in group]
    text += [form for word in words for form in (word, f"a {word}")] * 20
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(text, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer of the tiny RoBERTa."""
    return make_tokenizer()


def wrapped(tokenizer: Tokenizer, trainer: Any) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the sentences, with a start, an end and a mask token."""
    tokenizer.train_from_iterator([sentence for group in SENTENCES.values() for sentence in group], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)


@pytest.fixture(scope="session")
def tokenizers(tokenizer: PreTrainedTokenizerFast) -> dict[str, PreTrainedTokenizerFast]:
    """Return one tokenizer of each common build."""
    special = {"special_tokens": list(SPECIAL), "show_progress": False}
    piece = Tokenizer(models.WordPiece(unk_token="<unk>"))
    piece.normalizer = normalizers.BertNormalizer()
    piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.NFKC()
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    wordless = Tokenizer(models.BPE())
    wordless.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return {
        "byte-level": tokenizer,
        "word-piece": wrapped(piece, trainers.WordPieceTrainer(vocab_size=200, **special)),
        "unigram": wrapped(unigram, trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", **special)),
        "wordless": wrapped(wordless, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, **special)),
    }


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """Return the texts of all classes."""
    return [sentence for label in LABELS for sentence in SENTENCES[label]]


@pytest.fixture(scope="session")
def masked(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> str:
    """Return the folder of a tiny random RoBERTa of 64 positions."""
    folder = tmp_path_factory.mktemp("models") / "masked"
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=1,
        initializer_range=0.3,
    )
    RobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@attrs.frozen
class Rows(DataSource):
    """Rows given in a test."""

    splits: dict[str, dict[str, list[Any]]]
    """Split to column to values."""

    def load(self, context: Context) -> Splits:
        return Splits({name: Dataset.from_dict(columns) for name, columns in self.splits.items()}, "none")


def rows(per_class: Mapping[str, slice] | None = None, **changes: dict[str, list[Any]]) -> Rows:
    """Return three balanced splits; ``changes`` replaces whole splits."""
    slices = per_class or {"train": slice(0, 4), "dev": slice(1, 4), "test": slice(0, 3)}
    splits = {
        split: {
            "text": [sentence for label in LABELS for sentence in SENTENCES[label][which]],
            "label": [label for label in LABELS for _ in SENTENCES[label][which]],
        }
        for split, which in slices.items()
    }
    return Rows({**splits, **changes})


@pytest.fixture
def data() -> Callable[..., Rows]:
    """Return :func:`rows`."""
    return rows


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Return a context without parts, on the CPU."""
    return make_context(cache_dir=tmp_path / "cache")


@pytest.fixture
def build(masked: str, context: Context) -> Callable[..., Any]:
    """Return a function that builds the task on the tiny RoBERTa; its arguments are options."""
    from tgframe_prompts.classifiers.options import MaskedLM
    from tgframe_prompts.task import PromptClassification

    def make(data: Rows | None = None, **options: Any) -> Any:
        classifier = options.pop("classifier", MaskedLM(masked))
        task = PromptClassification(data or rows(), classifier, **options).build(context)
        context.parts["task"] = task
        return task

    return make
