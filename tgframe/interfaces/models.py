"""Where models come from."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import NewType

from tgframe.interfaces.specification import Specification

ModelName = NewType("ModelName", str)
"""An option that names a model: a hub name, ``prefix/name``, ``package:distribution`` or a folder. What starts
with ``./``, ``../``, ``~`` or is absolute is a folder, and belongs to the recipe file in which it stands."""


class ModelSource(Specification["ModelSource"]):
    """Resolves the model names under its prefix: ``embedded`` is asked for the ``causal`` of ``embedded/causal``."""

    @abstractmethod
    def locate(self, name: str) -> Path:
        """Return the local folder of model ``name`` (without the prefix), in ``save_pretrained`` layout.

        Raises :class:`~tgframe.errors.ModelError` with the names that exist when there is no such model.
        """
