"""The processes of one run: what they tell one another, and how they end together."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor, distributed
from torch.nn.functional import pad

from tgframe.errors import TgframeError
from tgframe.runtime.tree import HEAD, pack, unpack

Made = TypeVar("Made")
Thing = TypeVar("Thing")

PATIENCE = timedelta(days=30)
"""How long a process waits for another one: evaluation, which the main process does alone, may take its time."""


class Ended(Exception):
    """The run has ended in another process, which tells why: this one ends with ``status`` and says nothing."""

    def __init__(self, status: int = 1) -> None:
        super().__init__("The run has ended in another process, which tells why.")
        self.status = status


@attrs.frozen
class Processes:
    """This process among those of its run; the first one is the main process, which alone writes files.

    Every process has the whole model and a share of each batch. All of them call the same methods in the same order.
    A process that is alone is given back what it gave: nothing is sent or copied.
    """

    rank: int = 0
    """Place of this process among all."""
    count: int = 1
    """How many there are."""
    local_rank: int = 0
    """Place among those of the same machine."""

    @classmethod
    def join(cls) -> Processes:
        """Meet the processes that a launcher (``torchrun``, ``accelerate launch``) has started together."""
        if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group(_backend(), timeout=PATIENCE)
        rank = distributed.get_rank()
        return cls(rank, distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", rank)))

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.count == 1

    def gather(self, value: Any) -> list[Any]:
        """Return what each process gave, in their order: states (see :mod:`tgframe.runtime.tree`)."""
        return [value] if self.alone else [unpack(data) for data in _exchanged(pack(value), self.count)]

    def to_main(self, value: Any) -> list[Any]:
        """Return what each process gave, in the main process; nothing elsewhere."""
        if self.alone:
            return [value]
        found = _exchanged(pack(value), self.count, only_to=0)
        return [unpack(data) for data in found] if self.is_main else []

    def sum(self, number: int) -> int:
        """Return the sum of the numbers of all processes."""
        return sum(self.gather(number))

    def any(self, flag: bool) -> bool:
        """Return whether any process says so."""
        return any(self.gather(flag))

    def from_main(self, make: Callable[[], Made]) -> Made:
        """Return what ``make`` returns (a state) in the main process. What it raises there ends all processes."""
        if self.alone:
            return make()
        try:
            found = (True, make() if self.is_main else None)
        except Exception:
            self.gather((False, None))
            raise
        is_made, made = self.gather(found)[0]
        if not is_made:
            raise Ended
        return made  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """End all processes where the block fails in one: the first such process raises its error, the others Ended.

        Nothing is exchanged inside the block.
        """
        if self.alone:
            yield
            return
        error: Exception | None = None
        try:
            yield
        except Exception as raised:
            error = raised
        failed = self.gather(error is not None)
        if error is not None and failed.index(True) == self.rank:
            raise error
        if any(failed):
            raise Ended

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up the gradients of all processes. A parameter without one in all of them gets none."""
        if self.alone:
            return
        for group in messages(self.with_gradient(parameters), lambda parameter: parameter):
            flat = torch.cat([gradient_of(parameter).reshape(-1) for parameter in group])
            with _talking():
                distributed.all_reduce(flat)
            for parameter, total in zip(group, torch.split(flat, [one.numel() for one in group]), strict=True):
                parameter.grad = total.view_as(parameter).to(parameter.dtype)

    def with_gradient(self, parameters: Sequence[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
        """Return the parameters that have a gradient in any process."""
        has = self.gather([parameter.grad is not None for parameter in parameters]) if parameters else [[]]
        return [parameter for parameter, *flags in zip(parameters, *has, strict=True) if any(flags)]

    def stack_rows(self, row: Tensor) -> Tensor:
        """Return ``[P,N]``: the tensors ``[N]``, of one dtype and length, that the P processes gave, in their order."""
        if self.alone:
            return row.unsqueeze(0)
        rows = row.new_empty((self.count, len(row)))
        with _talking():  # as bytes: not every way of sending knows every dtype
            distributed.all_gather(list(rows.view(torch.uint8)), row.contiguous().view(torch.uint8))
        return rows

    def sum_rows(self, rows: Tensor) -> Tensor:
        """Return ``[N]``: the row of this process in the sum of the tensors, float ``[P,N]``, of all P processes."""
        if self.alone:
            return rows[0]
        own = rows.new_empty(rows.shape[1:])
        with _talking():
            distributed.reduce_scatter(own, list(rows.contiguous()))
        return own

    def align(self, tensors: Iterable[Tensor]) -> None:
        """Give ``tensors`` the values that they have in the main process."""
        if self.alone:
            return
        for tensor in tensors:
            ours = tensor.detach().contiguous()
            with _talking():  # as bytes: not every way of sending knows every dtype
                distributed.broadcast(ours.reshape(-1).view(torch.uint8), 0)
            tensor.detach().copy_(ours)

    def finish(self) -> None:
        """Wait until all processes have come to the end of the run."""
        if not self.alone:
            self.gather(None)
            atexit.register(_leave)


MESSAGE = 2**24
"""Most numbers of one message of a process, unless one tensor has more: 64 MiB in float32."""
SHORT = 4096
"""Bytes of a message that are sent at once."""
ALONE = Processes()
"""A run of one process."""


def _backend() -> str:
    """Return how to talk: GPUs among themselves through NCCL, everything else through Gloo."""
    gpus = torch.cuda.is_available() and distributed.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if gpus else "gloo"


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _exchanged(data: bytes, count: int, only_to: int | None = None) -> list[bytes]:
    """Return the bytes of all processes; where ``only_to`` is given, all of them in that process alone.

    Short messages, which most are, go around once together with their length; what is longer is sent after them.
    """
    mine = torch.frombuffer(bytearray(len(data).to_bytes(HEAD) + data), dtype=torch.uint8)
    first = _sent(_wide(mine[:SHORT], SHORT), count)
    lengths = [HEAD + int.from_bytes(piece[:HEAD].numpy().tobytes()) for piece in first]
    longest = max(lengths)
    rest = _sent(_wide(mine[SHORT:], longest - SHORT), count, only_to) if longest > SHORT else [mine[:0]] * count
    whole = (torch.cat(pieces) for pieces in zip(first, rest, strict=False))
    return [piece[HEAD:length].numpy().tobytes() for piece, length in zip(whole, lengths, strict=False)]


def _sent(mine: Tensor, count: int, only_to: int | None = None) -> list[Tensor]:
    """Return the equally long pieces of all processes; nothing where another process is to have them."""
    pieces = [torch.empty_like(mine) for _ in range(count)] if only_to in (None, distributed.get_rank()) else []
    with _talking():
        if only_to is None:
            distributed.all_gather(pieces, mine)
        else:
            distributed.gather(mine, pieces or None, only_to)
    return pieces


def _wide(row: Tensor, width: int) -> Tensor:
    return pad(row, (0, width - len(row)))


def gradient_of(parameter: torch.nn.Parameter) -> Tensor:
    """Return what a process adds to the gradient of a parameter: at least float32, zeros where it has none."""
    gradient = parameter.new_zeros(parameter.shape) if parameter.grad is None else parameter.grad
    return gradient.detach().to(torch.promote_types(parameter.dtype, torch.float32))


def messages(things: Iterable[Thing], tensor_of: Callable[[Thing], Tensor]) -> Iterator[list[Thing]]:
    """Divide things into groups that are sent together: of one dtype, no more numbers than a message."""
    kinds: dict[torch.dtype, list[Thing]] = {}
    for thing in things:
        kinds.setdefault(tensor_of(thing).dtype, []).append(thing)
    for group in kinds.values():
        message: list[Thing] = []
        room = MESSAGE
        for thing in group:
            size = tensor_of(thing).numel()
            if message and size > room:
                yield message
                message, room = [], MESSAGE
            message.append(thing)
            room -= size
        yield message


@contextlib.contextmanager
def _talking() -> Iterator[None]:
    """Turn the errors of torch, when another process is gone, into one that a person can read."""
    try:
        yield
    except RuntimeError as error:
        raise TgframeError(
            "Another process of this run has ended; what it told stands above or below. This one ends with it "
            f"({str(error).partition(chr(10))[0]})."
        ) from error
