"""Weights that the processes of a run divide among them: each keeps a piece, and all put them together to use them.

Weights are whole for as long as a block of :meth:`Shards.whole` lasts. When it begins, all processes exchange their
pieces; inside, each does what it likes, as often as it likes: it samples texts of other lengths, asks a reference that
remembers, skips a loss. (With hooks on every layer, as in torch's ``fully_shard``, all would have to make the same
passes in the same order, or wait for one another for ever.) Gradients are added up and divided by
:meth:`Shards.sum_gradients`, and the optimizer knows pieces alone, so that its state is divided, too.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from tgframe.runtime.processes import ALONE, Processes, gradient_of, messages

STEP = "step"
"""What an optimizer counts for each weight: a number, whatever the shape of the weight."""


@attrs.define(eq=False)
class Piece:
    """What this process keeps of one weight."""

    weight: nn.Parameter
    """As its module knows it. Outside a block it has its shape, but no numbers: all are NaN."""
    own: nn.Parameter
    """Flat, the place of this process among equal parts; the last are filled up with zeros."""
    open: int = 0
    """How many blocks use the weight now."""


class Shards:
    """The pieces of this process. Before :meth:`divide`, and for weights that it was not given, nothing is divided."""

    def __init__(self, processes: Processes = ALONE) -> None:
        self._processes = processes
        self._parts: dict[str, list[Piece]] = {}
        self._pieces: dict[int, Piece] = {}

    def divide(self, parts: Mapping[str, Iterable[nn.Parameter]]) -> None:
        """Keep a piece of each weight, equal in all processes till now. Parts, by name, may share weights."""
        for name, weights in parts.items():
            self._parts[name] = [self._divided(weight) for weight in weights]

    @contextlib.contextmanager
    def whole(self, *parts: str, changed: bool = False) -> Iterator[None]:
        """Have the weights of ``parts`` whole inside the block; those of parts that were not divided always are.

        All processes enter the block; blocks nest. Where weights are ``changed`` inside, alike in all processes, the
        pieces are taken from them afterwards.
        """
        pieces = list({id(piece): piece for name in parts for piece in self._parts.get(name, ())}.values())
        self._fill([piece for piece in pieces if not piece.open])
        for piece in pieces:
            piece.open += 1
        try:
            yield
        finally:
            for piece in pieces:
                piece.open -= 1
                if changed:
                    piece.own.data.copy_(self._part(piece.weight.detach()))
                if not piece.open:
                    _empty(piece.weight)

    def learning(self, weights: Iterable[nn.Parameter]) -> list[nn.Parameter]:
        """Return what an optimizer is given to step ``weights``: their pieces, or themselves."""
        return [self._pieces[id(weight)].own if id(weight) in self._pieces else weight for weight in weights]

    def sum_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Add up the gradients of all processes, and leave each process those of its pieces; outside of all blocks.

        A weight without a gradient in all processes gets none.
        """
        self._processes.sum_gradients([weight for weight in weights if id(weight) not in self._pieces])
        divided = self._processes.with_gradient([weight for weight in weights if id(weight) in self._pieces])
        for group in messages([self._pieces[id(weight)] for weight in divided], _own):
            rows = torch.cat([self._rows(gradient_of(piece.weight)) for piece in group], -1)
            summed = self._processes.sum_rows(rows)
            for piece, part in zip(group, torch.split(summed, [len(piece.own) for piece in group]), strict=True):
                piece.own.grad = part.to(piece.own.dtype)
                piece.weight.grad = None

    def clip(self, weights: Sequence[nn.Parameter], norm: float) -> float:
        """Scale the gradients of :meth:`learning` down to a total 2-norm of at most ``norm``; return what it was."""
        learning = self.learning(weights)
        pairs = list(zip(weights, learning, strict=True))
        total = get_total_norm([own.grad for weight, own in pairs if weight is own and own.grad is not None])
        if any(weight is not own for weight, own in pairs):
            divided = get_total_norm([own.grad for weight, own in pairs if weight is not own and own.grad is not None])
            norms = [float(total), *self._processes.gather(float(divided))]
            total = torch.tensor(math.hypot(*norms), device=learning[0].device)
        clip_grads_with_norm_(learning, norm, total)
        return float(total)

    def whole_state(self, state: Mapping[str, Any], weights: Sequence[nn.Parameter]) -> dict[str, Any]:
        """Return the state of an optimizer as it would be had nothing been divided; complete in the main process."""
        found = {index: dict(values) for index, values in state["state"].items()}
        for index, weight in enumerate(weights):
            piece = self._pieces.get(id(weight))
            if piece is None or index not in found:
                continue
            for name, value in found[index].items():
                if name != STEP and isinstance(value, Tensor):
                    whole = self._processes.stack_rows(value).reshape(-1)[: weight.numel()].reshape(weight.shape)
                    found[index][name] = whole.cpu() if self._processes.is_main else None
        return {**state, "state": found}

    def own_state(self, state: Mapping[str, Any], weights: Sequence[nn.Parameter]) -> dict[str, Any]:
        """Return what an optimizer of :meth:`learning` loads, given what :meth:`whole_state` returned."""
        found = {index: dict(values) for index, values in state["state"].items()}
        for index, weight in enumerate(weights):
            if id(weight) not in self._pieces or index not in found:
                continue
            for name, value in found[index].items():
                if name != STEP and isinstance(value, Tensor):
                    found[index][name] = self._part(value).clone()
        return {**state, "state": found}

    def _divided(self, weight: nn.Parameter) -> Piece:
        if id(weight) not in self._pieces:
            own = nn.Parameter(self._part(weight.detach()).clone(), requires_grad=weight.requires_grad)
            self._pieces[id(weight)] = Piece(weight, own)
            _empty(weight)
        return self._pieces[id(weight)]

    def _fill(self, pieces: Sequence[Piece]) -> None:
        for group in messages(pieces, _own):
            stacked = self._processes.stack_rows(torch.cat([piece.own.detach() for piece in group]))
            columns = torch.split(stacked, [len(piece.own) for piece in group], -1)
            for piece, column in zip(group, columns, strict=True):
                weight = piece.weight
                weight.data = column.reshape(-1)[: weight.numel()].reshape(weight.shape)

    def _rows(self, whole: Tensor) -> Tensor:
        """Return a tensor as a row for each process."""
        flat, count = whole.reshape(-1), self._processes.count
        return pad(flat, (0, -len(flat) % count)).reshape(count, -1)

    def _part(self, whole: Tensor) -> Tensor:
        return self._rows(whole)[self._processes.rank]


def _own(piece: Piece) -> Tensor:
    return piece.own


def _empty(weight: nn.Parameter) -> None:
    """Free the numbers of a weight. Whoever reads it now gets NaN, which does not go unnoticed."""
    weight.data = torch.full((), math.nan, dtype=weight.dtype, device=weight.device).expand(weight.shape)
