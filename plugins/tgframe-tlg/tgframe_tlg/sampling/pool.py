"""Candidates: drawn and edited completions side by side, and which of them to take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from tgframe import Rollouts


def with_edits(drawn: Rollouts, edits: Sequence[Sequence[Sequence[int]]], tokenizer: Any) -> Rollouts:
    """Return ``drawn`` ``[B,N,T]`` with the ``edits`` of each prompt after its completions.

    A prompt with fewer edits than another is filled up with absent completions. Column ``origin`` tells where each came
    from; other columns are left out, since an edit has none. What is picked from this pool is a selection: it is not
    exact, and its probability is not known.
    """
    most = max((len(group) for group in edits), default=0)
    groups = [[*group, *[()] * (most - len(group))] for group in edits]
    width = max((len(edit) for group in groups for edit in group), default=0)
    width = max(width, drawn.tokens.shape[2])
    rows = [[*edit, *[0] * (width - len(edit))] for group in groups for edit in group]
    tokens = torch.tensor(rows, dtype=torch.int64).reshape(len(groups), most, width)
    lengths = torch.tensor([len(edit) for group in groups for edit in group], dtype=torch.int64)
    mask = torch.arange(width) < lengths.reshape(len(groups), most, 1)
    device, more = drawn.tokens.device, (0, width - drawn.tokens.shape[2])
    texts = [_texts(tokenizer, group) for group in edits]
    return Rollouts(
        prompts=drawn.prompts,
        tokens=torch.cat([pad(drawn.tokens, more), tokens.to(device)], 1),
        mask=torch.cat([pad(drawn.mask, more), mask.to(device)], 1),
        texts=tuple((*old, *new, *[""] * (most - len(new))) for old, new in zip(drawn.texts, texts, strict=True)),
        columns={"origin": [["drawn"] * drawn.k + ["edited"] * most] * len(edits)},
        version=drawn.version,
    )


def _texts(tokenizer: Any, rows: Sequence[Sequence[int]]) -> list[str]:
    if not rows:
        return []
    texts: list[str] = tokenizer.batch_decode(
        [list(row) for row in rows], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return texts


def choose(
    scores: Sequence[float],
    texts: Sequence[str],
    usable: Sequence[bool],
    drawn: int,
    k: int,
    explorers: int,
    judged: Collection[str],
) -> list[int]:
    """Return ``k`` places of one prompt's candidates: ``explorers`` plain draws, then those with the best scores.

    Texts that are new and different go first; then different ones that were judged before; then what is left, and at
    the very last repeats, so that there are always ``k``.
    """
    taken: dict[int, None] = {}
    met: set[str] = set()

    def take(places: Iterable[int], most: int, new: bool, different: bool) -> None:
        for place in places:
            if len(taken) >= most:
                return
            text = texts[place]
            if place in taken or (new and text in judged) or (different and text in met):
                continue
            taken[place] = None
            met.add(text)

    places = [place for place, is_usable in enumerate(usable) if is_usable] or list(range(len(usable)))
    ranked = sorted(places, key=lambda place: -scores[place])
    take((place for place in places if place < drawn), explorers, new=True, different=True)
    for new, different in ((True, True), (False, True), (False, False)):
        take(ranked, k, new, different)
    found = list(taken)
    return [found[place % len(found)] for place in range(k)]
