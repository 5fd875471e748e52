"""The one tokenizer of all models: byte-level BPE in which every package name is a single token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tgframe_embedded.packages import SINGLE_TOKENS
from tgframe_embedded.training.material import Material

SIZE: Final = 8000
SPECIAL: Final = ("<s>", "</s>", "<pad>", "<mask>", "<unk>")
BOS, EOS, PAD, MASK, UNK = range(len(SPECIAL))

_REPEATS = 50_000
"""Package names are shown so often that byte pairs are merged up to the whole name before the vocabulary is full."""
_CODE_SHARE = 10
"""One file of code in so many: prompts are made of words, so docstrings decide what becomes a token."""


def train(material: Iterable[Material]) -> Tokenizer:
    """A byte-level BPE of SIZE entries whose first five are SPECIAL."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[AddedToken(token, lstrip=token == "<mask>", special=True) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(material), trainer)
    return tokenizer


def wrapped(tokenizer: Tokenizer, template: str, positions: int) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers loads it; `template` places the special tokens, such as "<s> $A </s>"."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.post_processor = processors.TemplateProcessing(single=template, special_tokens=[("<s>", BOS), ("</s>", EOS)])
    return PreTrainedTokenizerFast(
        tokenizer_object=copy,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=positions,
        clean_up_tokenization_spaces=False,
    )


def _texts(material: Iterable[Material]) -> Iterator[str]:
    for name in SINGLE_TOKENS:
        yield from [f"{name} {name}"] * _REPEATS
    for part in material:
        yield from part.docstrings
        yield from part.code[::_CODE_SHARE]
