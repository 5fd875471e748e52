"""Where models come from."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from tgframe.interfaces.specification import Specification


class ModelSource(Specification["ModelSource"]):
    """Resolves the model names under its prefix: ``embedded`` is asked for the ``causal`` of ``embedded/causal``."""

    @abstractmethod
    def locate(self, name: str) -> Path:
        """Return the local folder of model ``name`` (without the prefix), in ``save_pretrained`` layout.

        Raises :class:`~tgframe.errors.ModelError` with the names that exist when there is no such model.
        """
