"""Tiny vocabularies, tiny models on disk, and stand-ins for what a run would give the parts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tgframe import Context, Decoding, Prompts, Rollouts

WORDS = ("<end>", *"abcdefghijklmnopqrs")
SOURCE_WORDS = ("<pad>", "</s>", "<s>", *"abcdefghijklmnopq")
"""The vocabulary of the encoder-decoders. A source ends with `</s>`, which is no padding here."""


def make_tokenizer(words: tuple[str, ...] = WORDS) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


def make_source_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(SOURCE_WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("$A </s>", None, [("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", cls_token="<s>"
    )


@attrs.define
class StandInPolicy:
    """What guidance and sampler ask a policy for, and no model."""

    tokenizer: Any = attrs.field(factory=make_tokenizer)
    decoding: Decoding = attrs.field(factory=Decoding)
    version: int = 0
    special: bool = False
    """Whether special tokens are part of its prompts, as in those of an encoder-decoder."""

    def encode(self, texts: Sequence[str], ids: Sequence[str]) -> Prompts:
        (row,) = self.tokenizer(list(texts), add_special_tokens=self.special)["input_ids"]
        tokens = torch.tensor([row])
        return Prompts(tuple(ids), tuple(texts), tokens, torch.ones_like(tokens, dtype=torch.bool))


@attrs.define
class StandInRuntime:
    seed: int = 0
    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    generators: dict[str, torch.Generator] = attrs.field(factory=dict)

    def generator(self, name: str) -> torch.Generator:
        return self.generators.setdefault(name, torch.Generator().manual_seed(self.seed))

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture
def policy() -> StandInPolicy:
    return StandInPolicy()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    folder = tmp_path_factory.mktemp("tiny-gpt2")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS),
        n_positions=16,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _t5(width: int) -> PreTrainedModel:
    config = T5Config(vocab_size=20, d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2, initializer_factor=3.0)
    model = T5ForConditionalGeneration(config)
    model.generation_config.decoder_start_token_id = 0
    return model


def _bart(width: int) -> PreTrainedModel:
    sides = ("encoder", "decoder")
    sizes = {"layers": 2, "attention_heads": 2, "ffn_dim": 32}
    config = BartConfig(
        vocab_size=20,
        d_model=width,
        max_position_embeddings=16,
        init_std=0.2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        decoder_start_token_id=1,
        forced_eos_token_id=None,
        **{f"{side}_{name}": size for side in sides for name, size in sizes.items()},
    )
    model = BartForConditionalGeneration(config)
    model.generation_config.forced_bos_token_id = 2
    return model


def _bert2bert(width: int) -> PreTrainedModel:
    sizes = {
        "vocab_size": 20,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 16,
        "initializer_range": 0.2,
    }
    encoder = BertConfig(hidden_size=2 * width, **sizes)
    decoder = BertConfig(hidden_size=width, is_decoder=True, add_cross_attention=True, **sizes)
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder, decoder_start_token_id=2)
    return EncoderDecoderModel(config)


ENCODER_DECODERS = {"t5": _t5, "bart": _bart, "bert2bert": _bert2bert}


@pytest.fixture(scope="session")
def source_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a tiny encoder-decoder of a kind to disk, once."""
    root, tokenizer = tmp_path_factory.mktemp("encoder-decoders"), make_source_tokenizer()

    def folder_of(kind: str, width: int = 16) -> Path:
        folder = root / f"{kind}-{width}"
        if not folder.exists():
            torch.manual_seed(0)
            ENCODER_DECODERS[kind](width).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return folder_of


@pytest.fixture
def make_context(policy: StandInPolicy, tmp_path: Path) -> Callable[..., Context]:
    def make(seed: int = 0, **parts: Any) -> Context:
        return Context(StandInRuntime(seed), str, tmp_path, {"policy": policy, **parts})

    return make


@pytest.fixture
def make_rollouts(tokenizer: PreTrainedTokenizerFast) -> Callable[..., Rollouts]:
    """Make rollouts from groups of completions, each a string of one-letter words; ``prompts`` likewise.

    With ``ending``, words are those of the encoder-decoders, and the token stands at the end of every prompt.
    """

    def padded(rows: list[list[int]], left: bool, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(map(len, rows), default=0)
        gaps = [[False] * (width - len(row)) for row in rows]
        masks = [
            gap + [True] * len(row) if left else [True] * len(row) + gap for gap, row in zip(gaps, rows, strict=True)
        ]
        fills = [[pad] * len(gap) for gap in gaps]
        tokens = [fill + row if left else row + fill for fill, row in zip(fills, rows, strict=True)]
        shape = (len(rows), width)
        return torch.tensor(tokens, dtype=torch.int64).reshape(shape), torch.tensor(masks, dtype=torch.bool).reshape(
            shape
        )

    def make(
        groups: list[list[str]],
        prompts: list[str] | None = None,
        split: str = "train",
        pad: int = 3,
        ending: int | None = None,
    ) -> Rollouts:
        words, last = (WORDS, []) if ending is None else (SOURCE_WORDS, [ending])

        def ids(text: str) -> list[int]:
            return [words.index(word) for word in text]

        texts = prompts if prompts is not None else [""] * len(groups)
        tokens, mask = padded([ids(text) + last for text in texts], True, pad)
        given = Prompts(tuple(f"p{index}" for index in range(len(groups))), tuple(texts), tokens, mask, split)
        tokens, mask = padded([ids(text) for group in groups for text in group], False, pad)
        shape = (len(groups), len(groups[0]), -1)
        words = tuple(tuple(" ".join(text) for text in group) for group in groups)
        return Rollouts(given, tokens.reshape(shape), mask.reshape(shape), words)

    return make
