"""Verbalisers as single tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tgframe import ModelError
from tgframe_prompts.rows import encode


def single_tokens(tokenizer: Any, words: Mapping[str, str]) -> Tensor:
    """Return int64 ``[C]``: the token of each verbaliser.

    Raises :class:`~tgframe.ModelError` naming label, word and tokens when a word is not one known token, or when two
    labels share one.
    """
    ids = encode(tokenizer, list(words.values()))
    for (label, word), found in zip(words.items(), ids, strict=True):
        if len(found) != 1 or found[0] == tokenizer.unk_token_id:
            raise ModelError(_not_single(tokenizer, label, word, found))
    owners: dict[int, str] = {}
    for label, (token,) in zip(words, ids, strict=True):
        if token in owners:
            raise ModelError(
                f"The verbaliser of {label!r} must differ from that of {owners[token]!r}, but both are the token "
                f"{tokenizer.convert_ids_to_tokens(token)!r}. Change one of them in `task.verbalizers`."
            )
        owners[token] = label
    return torch.tensor([token for (token,) in ids])


def _not_single(tokenizer: Any, label: str, word: str, ids: list[int]) -> str:
    tokens = ", ".join(repr(token) for token in tokenizer.convert_ids_to_tokens(ids))
    fitting = [form for form in _forms(word) if _is_single(tokenizer, form)]
    remedy = f"Write {fitting[0]!r}, which is one token" if fitting else "Choose another word"
    return (
        f"The verbaliser {word!r} of the label {label!r} must be one token of the classifier, but is "
        f"{len(ids)} ({tokens or 'none'}) instead. {remedy}, in `task.verbalizers`."
    )


def _forms(word: str) -> list[str]:
    bare = word.strip()
    forms = [" " + bare, bare, " " + bare.lower(), bare.lower(), " " + bare.capitalize(), bare.capitalize()]
    return [form for form in forms if form != word and bare]


def _is_single(tokenizer: Any, word: str) -> bool:
    (ids,) = encode(tokenizer, [word])
    return len(ids) == 1 and ids[0] != tokenizer.unk_token_id
