"""The containers that flow through the house: prompts, rollouts, preferences.

Letters, everywhere: ``B`` prompts, ``K`` completions per prompt, ``T`` completion tokens, ``S`` prompt tokens,
``V`` vocabulary, ``D`` hidden, ``F`` features. Flattened axes are written joined: ``[BK,T]``. The group ``[B,K]``
survives to the objective: nothing flattens it away. All containers are checked when they are made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import attrs
import torch
from torch import Tensor

from tgframe.errors import ComponentError

PreferenceKind = Literal["rank", "score", "label"]


def _check(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None) -> None:
    if tuple(tensor.shape) != shape:
        raise ComponentError(f"`{name}` must have the shape {list(shape)}, but has {list(tensor.shape)} instead.")
    if dtype is None:
        if not tensor.is_floating_point():
            raise ComponentError(f"`{name}` must be a floating-point tensor, but is {tensor.dtype} instead.")
    elif tensor.dtype != dtype:
        raise ComponentError(f"`{name}` must be {dtype}, but is {tensor.dtype} instead.")


@attrs.frozen(eq=False)
class Prompts:
    """``B`` inputs of the policy, padded on the left so that completions follow directly.

    Raises :class:`~tgframe.errors.ComponentError` when lengths, shapes or dtypes disagree.
    """

    ids: tuple[str, ...]
    """``B`` stable strings: the key of every cache and of per-prompt state."""
    texts: tuple[str, ...]
    """``B`` prompt texts, as the policy's tokenizer saw them."""
    tokens: Tensor
    """int64 ``[B,S]``; ``S = 0`` is legal, the policy then starts from its start token alone."""
    mask: Tensor
    """bool ``[B,S]``, True on real tokens."""
    split: str = "train"
    """Where the rows come from: sources that judge against data judge against this split."""
    columns: Mapping[str, Sequence[Any]] = attrs.field(factory=dict)
    """Raw data, ``B`` values a column."""
    targets: Rollouts | None = None
    """Supervised completions, as rollouts too (K = number of targets); None where the task has none."""

    def __attrs_post_init__(self) -> None:
        batch = len(self.ids)
        if len(self.texts) != batch:
            raise ComponentError(f"`texts` must hold {batch} texts, one an id, but holds {len(self.texts)} instead.")
        if self.tokens.ndim != 2:
            raise ComponentError(f"`tokens` must have the shape [B,S], but has {list(self.tokens.shape)} instead.")
        _check("prompts.tokens", self.tokens, (batch, self.tokens.shape[-1]), torch.int64)
        _check("prompts.mask", self.mask, tuple(self.tokens.shape), torch.bool)
        for name, column in self.columns.items():
            if len(column) != batch:
                raise ComponentError(f"Column {name!r} must hold {batch} values, but holds {len(column)} instead.")

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Sequence[int]) -> Prompts:
        """Return the prompts ``index``, in that order, as wide as they are; their targets come along."""
        places = torch.tensor(list(index), dtype=torch.int64, device=self.tokens.device)
        return attrs.evolve(
            self,
            ids=tuple(self.ids[row] for row in index),
            texts=tuple(self.texts[row] for row in index),
            tokens=self.tokens[places],
            mask=self.mask[places],
            columns={name: [column[row] for row in index] for name, column in self.columns.items()},
            targets=None if self.targets is None else self.targets.rows(index),
        )


@attrs.frozen(eq=False)
class Rollouts:
    """``K`` completions for each of ``B`` prompts, padded on the right.

    A group with fewer than ``K`` completions is filled up: an absent completion is masked everywhere, its text empty.
    Raises :class:`~tgframe.errors.ComponentError` when shapes, dtypes or text counts disagree.
    """

    prompts: Prompts
    tokens: Tensor
    """int64 ``[B,K,T]``."""
    mask: Tensor
    """bool ``[B,K,T]``, True on real tokens; the end token counts, the start token is not in ``tokens``."""
    texts: tuple[tuple[str, ...], ...]
    """``B`` groups of ``K`` decoded completions, special tokens left out."""
    columns: Mapping[str, Sequence[Sequence[Any]]] = attrs.field(factory=dict)
    """Per-completion data: each column holds ``B`` groups of ``K`` values."""
    sample_logprobs: Tensor | None = None
    """float32 ``[B,K,T]``, nats: log-probability under the distribution that drew the token (after temperature and
    truncation), 0 where the mask is False; None where nothing was drawn."""
    exact: bool = False
    """True when these are true draws from the full distribution of policy ``version``: temperature 1, no truncation, no
    selection, no tokens forbidden on the way."""
    version: int = 0
    """Version of the policy that wrote them: its number of updates."""

    def __attrs_post_init__(self) -> None:
        if self.tokens.ndim != 3:
            raise ComponentError(f"`tokens` must have the shape [B,K,T], but has {list(self.tokens.shape)} instead.")
        shape = tuple(self.tokens.shape)
        _check("rollouts.tokens", self.tokens, (len(self.prompts), *shape[1:]), torch.int64)
        _check("rollouts.mask", self.mask, shape, torch.bool)
        if self.sample_logprobs is not None:
            _check("rollouts.sample_logprobs", self.sample_logprobs, shape, None)
        if len(self.texts) != shape[0] or any(len(group) != shape[1] for group in self.texts):
            raise ComponentError(f"`texts` must hold {shape[0]} groups of {shape[1]} texts, one a completion.")

    @property
    def lengths(self) -> Tensor:
        """int64 ``[B,K]``: real tokens of each completion."""
        return self.mask.sum(-1)

    @property
    def present(self) -> Tensor:
        """bool ``[B,K]``: False where a group is filled up."""
        return self.mask.any(-1)

    @property
    def k(self) -> int:
        """Completions per prompt."""
        return self.tokens.shape[1]

    def rows(self, index: Sequence[int]) -> Rollouts:
        """Return the groups of the prompts ``index``, in that order, as wide as they are."""
        places = torch.tensor(list(index), dtype=torch.int64, device=self.tokens.device)
        return attrs.evolve(
            self,
            prompts=self.prompts.rows(index),
            tokens=self.tokens[places],
            mask=self.mask[places],
            texts=tuple(self.texts[row] for row in index),
            columns={name: [column[row] for row in index] for name, column in self.columns.items()},
            sample_logprobs=None if self.sample_logprobs is None else self.sample_logprobs[places],
        )

    def select(self, index: Tensor) -> Rollouts:
        """Return the completions ``index`` (int64 ``[B,J]``) of each group, in that order."""
        wide = index.unsqueeze(-1).expand(-1, -1, self.tokens.shape[-1])
        rows = index.tolist()
        return attrs.evolve(
            self,
            tokens=self.tokens.gather(1, wide),
            mask=self.mask.gather(1, wide),
            texts=tuple(tuple(group[i] for i in row) for group, row in zip(self.texts, rows, strict=True)),
            columns={
                name: [[group[i] for i in row] for group, row in zip(column, rows, strict=True)]
                for name, column in self.columns.items()
            },
            sample_logprobs=None if self.sample_logprobs is None else self.sample_logprobs.gather(1, wide),
        )


@attrs.frozen(eq=False)
class Preferences:
    """What a source thinks of ``[B,K]`` completions. Only completions of one prompt are compared.

    Raises :class:`~tgframe.errors.ComponentError` when shapes or dtypes disagree, or a valid value is not finite.
    """

    values: Tensor
    """float32 ``[B,K]``, higher is better, equal is a tie; unread where ``valid`` is False."""
    valid: Tensor
    """bool ``[B,K]``, False where a judgment is missing. Missing is never 0."""
    kind: PreferenceKind = "score"
    """``rank``: only the order within a group means something; ``score``: values compare across groups and time;
    ``label``: values are class labels or ratings on a fixed scale."""
    demonstration: Tensor | None = None
    """bool ``[B,K]``, True where the completion is a demonstration; None where the source does not know."""
    features: Tensor | None = None
    """float32 ``[B,K,F]``, features of distributional constraints; None where there are none."""
    segment_values: Tensor | None = None
    """float32 ``[B,K,T]``, the value of the segment each token belongs to; None where there are none."""
    sources: Mapping[str, Preferences] = attrs.field(factory=dict)
    """What the sources said that these judgments are made of, by name, each ``[B,K]``; empty where there is one."""

    def __attrs_post_init__(self) -> None:
        if self.values.ndim != 2:
            raise ComponentError(f"`values` must have the shape [B,K], but has {list(self.values.shape)} instead.")
        shape = tuple(self.values.shape)
        _check("preferences.values", self.values, shape, torch.float32)
        _check("preferences.valid", self.valid, shape, torch.bool)
        if self.kind not in get_args(PreferenceKind):
            raise ComponentError(f"`kind` must be one of {get_args(PreferenceKind)}, but is {self.kind!r} instead.")
        if self.demonstration is not None:
            _check("preferences.demonstration", self.demonstration, shape, torch.bool)
        for name in ("features", "segment_values"):
            extra = getattr(self, name)
            if extra is not None:
                _check(f"preferences.{name}", extra, (*shape, extra.shape[-1]), torch.float32)
        for name, source in self.sources.items():
            _check(f"preferences.sources[{name!r}].values", source.values, shape, torch.float32)
        if not torch.isfinite(self.values[self.valid]).all():
            raise ComponentError(
                "Preferences must be finite, but hold NaN or infinity instead. Return None where there is no judgment."
            )

    @classmethod
    def from_scores(cls, scores: Sequence[Sequence[float | None]], kind: PreferenceKind = "score") -> Preferences:
        """Make preferences from ``B`` groups of ``K`` numbers; None is a missing judgment."""
        sizes = [len(group) for group in scores]
        if len(set(sizes)) > 1:
            raise ComponentError(f"All groups must hold equally many judgments, but hold {sizes} instead.")
        known = [[math.nan if value is None else float(value) for value in group] for group in scores]
        valid = torch.tensor([[value is not None for value in group] for group in scores], dtype=torch.bool)
        values = torch.tensor(known, dtype=torch.float32).masked_fill(~valid, 0.0)
        return cls(values=values, valid=valid, kind=kind)

    @classmethod
    def from_ranks(cls, ranks: Sequence[Sequence[int | None]]) -> Preferences:
        """Make preferences from ``B`` groups of ``K`` ranks: 0 is best, equal ranks tie, None is missing."""
        return cls.from_scores([[None if rank is None else -rank for rank in group] for group in ranks], "rank")

    def rows(self, index: Sequence[int]) -> Preferences:
        """Return the judgments of the prompts ``index``, in that order."""
        places = torch.tensor(list(index), dtype=torch.int64, device=self.values.device)

        def take(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[places]

        return attrs.evolve(
            self,
            values=self.values[places],
            valid=self.valid[places],
            demonstration=take(self.demonstration),
            features=take(self.features),
            segment_values=take(self.segment_values),
            sources={name: source.rows(index) for name, source in self.sources.items()},
        )

    def select(self, index: Tensor) -> Preferences:
        """Return the judgments ``index`` (int64 ``[B,J]``) of each group, in that order."""

        def take(tensor: Tensor | None) -> Tensor | None:
            if tensor is None:
                return None
            wide = index.reshape(*index.shape, *[1] * (tensor.ndim - 2)).expand(-1, -1, *tensor.shape[2:])
            return tensor.gather(1, wide)

        return attrs.evolve(
            self,
            values=self.values.gather(1, index),
            valid=self.valid.gather(1, index),
            demonstration=take(self.demonstration),
            features=take(self.features),
            segment_values=take(self.segment_values),
            sources={name: source.select(index) for name, source in self.sources.items()},
        )

    def to(self, device: torch.device) -> Preferences:
        """Return the same judgments on ``device``."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return attrs.evolve(
            self,
            values=self.values.to(device),
            valid=self.valid.to(device),
            demonstration=move(self.demonstration),
            features=move(self.features),
            segment_values=move(self.segment_values),
            sources={name: source.to(device) for name, source in self.sources.items()},
        )
