"""What a backbone reads, and where in it the state of a token is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from torch import Tensor
from transformers import PreTrainedModel

from tgframe import ModelError, Rollouts


class Layout(ABC):
    """How one kind of backbone reads completions: the same way in the fit and in use.

    The state of a token is read at that token, so it knows the token and all before it.
    """

    name: str
    """The backbone's name in the recipe, for errors."""
    network: PreTrainedModel
    """The ``transformers`` model inside the backbone."""

    @property
    @abstractmethod
    def hidden_size(self) -> int:
        """D."""

    @abstractmethod
    def states(self, rollouts: Rollouts, prefix: Sequence[int], chunk: int) -> Iterator[Tensor]:
        """Yield float ``[N,T,D]`` states of the tokens of ``[B,K]`` completions: at most ``chunk`` of these at a time,
        those of a prompt side by side. Off the mask they mean nothing.

        ``prefix`` stands before every completion. Raises :class:`~tgframe.ModelError` when a sequence is longer than
        the backbone's positions.
        """

    @abstractmethod
    def probe(self, tokens: Tensor) -> Tensor:
        """Return states float ``[N,L,D]`` of int64 tokens ``[N,L]``, all after the same."""


def check_length(what: str, length: int, network: PreTrainedModel, name: str) -> None:
    """Raise :class:`~tgframe.ModelError` when ``what`` takes more positions than ``network`` has."""
    most = _positions(network)
    if most is not None and length > most:
        raise ModelError(
            f"{what} must fit into the {most} positions of `guidance.model` {name!r}, but take {length} instead. "
            "Shorten them, or choose another model."
        )


def _positions(network: PreTrainedModel) -> int | None:
    count: int | None = getattr(network.config, "max_position_embeddings", None)
    learned = getattr(getattr(network, "embeddings", None), "position_embeddings", None)
    unused = getattr(learned, "padding_idx", None)  # RoBERTa counts from behind its padding token
    return count if count is None or unused is None else count - unused - 1
