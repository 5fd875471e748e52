"""Rows as a policy reads them: prompts with their targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch

from tgframe_summarization.cuts import Cuts
from tgframe_summarization.cutting import shortened

if TYPE_CHECKING:
    from tgframe import Policy, Prompts, Rollouts
    from tgframe_summarization.row import Row
    from tgframe_summarization.task import Summarization


def encoded(
    options: Summarization,
    policy: Policy,
    split: str,
    ids: Sequence[str],
    rows: Sequence[Row],
    extra: Mapping[str, Sequence[Any]],
) -> tuple[Prompts, Cuts]:
    """Return prompts with targets, and of how many rows something was cut. A row may be there more than once."""
    frame = Frame(options, policy, split)
    sources = [row.source for row in rows]
    columns = {**extra, "source": sources, "targets": [row.targets for row in rows]}
    prompts = frame.prompts(sources, ids, columns)
    short = frame.shortened(sources, prompts)
    if short:
        prompts = frame.prompts([short.get(place, source) for place, source in enumerate(sources)], ids, columns)
    targets, cut = _targets(options, policy, prompts, rows)
    return attrs.evolve(prompts, targets=targets), Cuts(len(rows), len(short), cut)


@attrs.frozen
class Frame:
    """What stands around a source in the prompts of one policy."""

    options: Summarization
    policy: Policy
    split: str

    def prompts(self, sources: Sequence[str], ids: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> Prompts:
        """Return the prompts of sources as they are."""
        texts = [f"{self.options.prefix}{source}{self.options.suffix}" for source in sources]
        return self.policy.encode(texts, ids, split=self.split, columns=columns)

    def shortened(self, sources: Sequence[str], prompts: Prompts) -> dict[int, str]:
        """Return, by its place, what is left of each source whose prompt is too long."""
        limit = self.options.max_source_tokens
        if limit is None:
            return {}
        long = (prompts.mask.sum(-1) > limit).nonzero().flatten().tolist()
        return {place: shortened(sources[place], self.policy.tokenizer, limit, self._length) for place in long}

    def _length(self, source: str) -> int:
        return int(self.prompts([source], ["one"], {}).mask.sum())


def _targets(options: Summarization, policy: Policy, prompts: Prompts, rows: Sequence[Row]) -> tuple[Rollouts, int]:
    """Return the targets that are learned from, and of how many rows one is cut.

    Rows with fewer targets than others end in absent ones. Tokens are cut, texts are whole: what is learned from is
    short, what is compared with is not.
    """
    texts = [row.targets if options.train_targets == "all" else row.targets[:1] for row in rows]
    k = max((len(group) for group in texts), default=1)
    filled = [[f"{options.target_prefix}{text}" for text in group] + [""] * (k - len(group)) for group in texts]
    found = policy.complete(prompts, filled, max_tokens=options.max_target_tokens)
    here = torch.tensor([[place < len(group) for place in range(k)] for group in texts], device=found.mask.device)
    mask = found.mask & here.reshape(len(rows), k, 1)  # an empty text has an end token, too
    whole = tuple((*group, *[""] * (k - len(group))) for group in texts)
    return attrs.evolve(found, mask=mask, texts=whole), _cut(options, policy, found, mask)


def _cut(options: Summarization, policy: Policy, found: Rollouts, mask: torch.Tensor) -> int:
    """Return how many rows have a target that fills all its tokens without an end."""
    limit, end = options.max_target_tokens, policy.tokenizer.eos_token_id
    if limit is None or found.tokens.shape[-1] < limit:
        return 0
    full = mask[..., limit - 1] & (found.tokens[..., limit - 1] != (-1 if end is None else end))
    return int(full.any(-1).sum())
