"""What a specification finds when it builds its part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    import contextlib

    import torch

    from tgframe.interfaces.aggregator import Aggregator
    from tgframe.interfaces.guidance import GuidanceModel
    from tgframe.interfaces.policy import Policy
    from tgframe.interfaces.sampler import Sampler
    from tgframe.interfaces.task import Task


class Runtime(Protocol):
    """The machine as parts see it."""

    @property
    def device(self) -> torch.device:
        """Where tensors live."""

    @property
    def seed(self) -> int:
        """The recipe's seed."""

    def generator(self, name: str) -> torch.Generator:
        """Return the run's CPU generator called ``name``: one object a name, seeded from the seed and the name.

        All processes of a run have the same, so that they build the same. What each must draw for itself (completions)
        is drawn by the generator that it is given.
        """

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Return the mixed-precision context of forward passes."""


class Locate(Protocol):
    """Resolves a model name of a recipe."""

    def __call__(self, name: str) -> str:
        """Return a local folder or hub name that ``from_pretrained`` takes."""


@attrs.define
class Context:
    """What was built before, and the services of the run.

    Order of building: task, policy, objective (and its ``prepare``), reference, aggregator, guidance, sampler,
    preference, optimizers. Reading a part that is not built yet raises AttributeError naming it: a bug of who reads.
    """

    runtime: Runtime
    locate: Locate
    """Resolves model names: hub names, folders (relative to the recipe), ``prefix/name``, ``package:distribution``."""
    cache_dir: Path
    """A folder that outlives runs: what is stored there is keyed by its content."""
    parts: dict[str, Any] = attrs.field(factory=dict)
    """Recipe key to the part that was built for it."""

    def _part(self, key: str) -> Any:
        if key not in self.parts:
            raise AttributeError(f"context.{key} is not built yet; built so far: {', '.join(self.parts) or 'nothing'}")
        return self.parts[key]

    def generator(self, name: str) -> torch.Generator:
        """Return the run's CPU generator called ``name`` (see :class:`Runtime`)."""
        return self.runtime.generator(name)

    @property
    def task(self) -> Task:
        """The task."""
        return self._part("task")  # type: ignore[no-any-return]

    @property
    def policy(self) -> Policy:
        """The policy that is improved."""
        return self._part("policy")  # type: ignore[no-any-return]

    @property
    def reference(self) -> Policy:
        """The frozen reference policy, where the recipe has one."""
        return self._part("reference")  # type: ignore[no-any-return]

    @property
    def tokenizer(self) -> Any:
        """The policy's tokenizer."""
        return self.policy.tokenizer

    @property
    def aggregator(self) -> Aggregator:
        """The aggregator."""
        return self._part("aggregator")  # type: ignore[no-any-return]

    @property
    def sampler(self) -> Sampler:
        """The recipe's sampler."""
        return self._part("sampler")  # type: ignore[no-any-return]

    @property
    def guidance(self) -> GuidanceModel:
        """The guidance model."""
        return self._part("guidance")  # type: ignore[no-any-return]
