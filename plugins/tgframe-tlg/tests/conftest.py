"""A tiny vocabulary, a tiny GPT-2 on disk, and stand-ins for what a run would give the parts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tgframe import Context, Decoding, Prompts, Rollouts

WORDS = ("<end>", *"abcdefghijklmnopqrs")


def make_tokenizer(words: tuple[str, ...] = WORDS) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


@attrs.define
class StandInPolicy:
    """What guidance and sampler ask a policy for, and no model."""

    tokenizer: Any = attrs.field(factory=make_tokenizer)
    decoding: Decoding = attrs.field(factory=Decoding)
    version: int = 0


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


@pytest.fixture
def make_context(policy: StandInPolicy, tmp_path: Path) -> Callable[..., Context]:
    def make(seed: int = 0, **parts: Any) -> Context:
        return Context(StandInRuntime(seed), str, tmp_path, {"policy": policy, **parts})

    return make


@pytest.fixture
def make_rollouts(tokenizer: PreTrainedTokenizerFast) -> Callable[..., Rollouts]:
    """Make rollouts from groups of completions, each a string of one-letter words; ``prompts`` likewise."""

    def ids(text: str) -> list[int]:
        return [WORDS.index(word) for word in text]

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

    def make(groups: list[list[str]], prompts: list[str] | None = None, split: str = "train", pad: int = 3) -> Rollouts:
        texts = prompts if prompts is not None else [""] * len(groups)
        tokens, mask = padded([ids(text) for text in texts], True, pad)
        given = Prompts(tuple(f"p{index}" for index in range(len(groups))), tuple(texts), tokens, mask, split)
        tokens, mask = padded([ids(text) for group in groups for text in group], False, pad)
        shape = (len(groups), len(groups[0]), -1)
        words = tuple(tuple(" ".join(text) for text in group) for group in groups)
        return Rollouts(given, tokens.reshape(shape), mask.reshape(shape), words)

    return make
