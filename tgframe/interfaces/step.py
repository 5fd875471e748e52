"""Everything that one update sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import torch
from torch import Tensor

from tgframe.errors import ComponentError

if TYPE_CHECKING:
    from tgframe.interfaces.aggregator import Aggregator
    from tgframe.interfaces.batch import Preferences, Prompts, Rollouts


@attrs.frozen(eq=False)
class Guidance:
    """Every token's worth."""

    values: Tensor
    """float ``[B,K,T]``, higher is better; 0 where the mask is False."""
    mask: Tensor
    """bool ``[B,K,T]``: the positions that carry a value. All real tokens, or only the ends of segments."""

    def __attrs_post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape != self.mask.shape or self.mask.dtype != torch.bool:
            raise ComponentError(
                "Guidance must be values float [B,K,T] and mask bool [B,K,T], but is "
                f"{list(self.values.shape)} and {self.mask.dtype} {list(self.mask.shape)} instead."
            )


FIELDS = (
    "rollouts",
    "preferences",
    "guidance",
    "policy_logprobs",
    "policy_entropy",
    "policy_hidden",
    "reference_logprobs",
    "targets",
    "streams",
    "aggregator",
)
"""The fields of a step that are filled only when a part needs them: the vocabulary of ``needs()``."""


@attrs.frozen(eq=False)
class Step:
    """Everything one update sees: one set of completions and what is known of them.

    The engine fills exactly the fields that the parts need, once. Reading a field that was not filled raises
    :class:`~tgframe.errors.ComponentError` naming the part and the field: a forgotten ``needs()`` shows at once.
    Whoever needs a field of the completions (guidance, log-probabilities, …) has ``rollouts`` too.
    ``targets`` is a step of its own over the supervised completions: ``step.targets.guidance`` holds their values.
    """

    prompts: Prompts
    """The ``B`` prompts."""
    filled: Mapping[str, Any] = attrs.field(factory=dict)
    reader: str = "a part"
    """Who reads: named in errors."""

    def _read(self, field: str) -> Any:
        if field not in self.filled:
            self._unfilled(field)
        return self.filled[field]

    def _unfilled(self, field: str) -> NoReturn:
        raise ComponentError(
            f"{self.reader} reads `step.{field}`, but did not ask for it. Add {field!r} to what its `needs()` returns."
        )

    def read_by(self, reader: str) -> Step:
        """Return the same step as seen by the part called ``reader``."""
        return attrs.evolve(self, reader=reader)

    def with_fields(self, **fields: Any) -> Step:
        """Return the step with ``fields`` filled in."""
        unknown = fields.keys() - set(FIELDS)
        if unknown:
            raise ValueError(f"a step has no field {sorted(unknown)}; it has {FIELDS}")
        return attrs.evolve(self, filled={**self.filled, **fields})

    @property
    def rollouts(self) -> Rollouts:
        """The ``[B,K]`` completions: sampled, read from data, or (in ``targets``) the supervised ones."""
        return self._read("rollouts")  # type: ignore[no-any-return]

    @property
    def preferences(self) -> Preferences:
        """The judgments ``[B,K]`` of these completions."""
        return self._read("preferences")  # type: ignore[no-any-return]

    @property
    def guidance(self) -> Guidance:
        """Values and mask ``[B,K,T]``; without gradient unless the guidance says that it flows to the policy."""
        return self._read("guidance")  # type: ignore[no-any-return]

    @property
    def policy_logprobs(self) -> Tensor:
        """float32 ``[B,K,T]``, nats, with gradient: log pi(token), untruncated, temperature 1; 0 off the mask."""
        return self._read("policy_logprobs")  # type: ignore[no-any-return]

    @property
    def policy_entropy(self) -> Tensor:
        """float32 ``[B,K,T]``, nats, with gradient: entropy of the next-token distribution, full vocabulary."""
        return self._read("policy_entropy")  # type: ignore[no-any-return]

    @property
    def policy_hidden(self) -> Tensor:
        """float ``[B,K,T,D]``, with gradient: the state *before* each token is written."""
        return self._read("policy_hidden")  # type: ignore[no-any-return]

    @property
    def reference_logprobs(self) -> Tensor:
        """float32 ``[B,K,T]``, nats, no gradient: log-probabilities of the reference model; 0 off the mask."""
        return self._read("reference_logprobs")  # type: ignore[no-any-return]

    @property
    def targets(self) -> Step:
        """The same prompts with their supervised completions."""
        return attrs.evolve(self._read("targets"), reader=self.reader)  # type: ignore[no-any-return]

    @property
    def streams(self) -> Mapping[str, Step]:
        """Batches of the objective's own data fields, by field name."""
        return self._read("streams")  # type: ignore[no-any-return]

    @property
    def aggregator(self) -> Aggregator:
        """The recipe's aggregator."""
        return self._read("aggregator")  # type: ignore[no-any-return]
