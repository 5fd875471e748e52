"""A real tokenizer that is made in memory: one token a byte, or one token a letter of a tiny alphabet."""

from __future__ import annotations

from functools import cache
from typing import Any

END = "<|end|>"


def byte_letters() -> list[str]:
    """Return the 256 visible characters by which byte-level tokenizers write the bytes 0 to 255."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(256))
    return [chr(byte) if byte in visible else chr(256 + next(spare)) for byte in range(256)]


@cache
def make_tokenizer(alphabet: str | None = None) -> Any:
    """Return a ``transformers`` tokenizer whose last id is the end token (padding and start too).

    Without ``alphabet`` the other ids are the 256 bytes, so that every text survives; with ``alphabet`` they are its
    letters, and others are dropped. The same alphabet returns the same object: who changes it, copies it first.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = byte_letters() if alphabet is None else list(alphabet)
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate([*letters, END])}, merges=[]))
    if alphabet is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
    else:
        tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END, clean_up_tokenization_spaces=False
    )
