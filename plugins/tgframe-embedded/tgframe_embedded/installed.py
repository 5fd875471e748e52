"""Installed packages seen from outside: their versions and source files, found without importing anything."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

import attrs

from tgframe import DataError
from tgframe_embedded.split import Bucket, bucket, position

_SKIPPED_FOLDERS = frozenset({"tests", "test", "testing", "_vendor", "vendor"})


class MissingPackageError(DataError):
    """A package that the data set reads is not installed, or was installed without its source."""


@attrs.frozen
class SourceFile:
    """One Python file of an installed distribution."""

    package: str
    path: str
    """Inside the distribution, with forward slashes."""
    location: Path
    """On this machine."""

    def read(self) -> str:
        """The text, or "" where the file is gone or no UTF-8: such a file holds no rows."""
        try:
            return self.location.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""


def canonical(name: str) -> str:
    """The spelling under which a package is hashed and reported: "Huggingface-Hub" is "huggingface_hub"."""
    return name.strip().lower().replace("-", "_").replace(".", "_")


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of every package, by canonical name. Raises MissingPackageError for the first one that is absent."""
    return {canonical(name): _distribution(name).version for name in packages}


def source_files(package: str, wanted: Bucket) -> list[SourceFile]:
    """The Python files of a package that belong to one bucket, in the order of their hash, test folders left out.

    Only the import package of that name counts (of torch's distribution `torch/`, not `functorch/`), unless the
    distribution has none of that name (PyYAML brings `yaml/`).
    """
    name = canonical(package)
    paths = _python_paths(package)
    own = [path for path in paths if path.split("/")[0] == name]
    chosen = [path for path in own or paths if bucket(name, path) == wanted]
    root = _distribution(package)
    return [
        SourceFile(name, path, Path(str(root.locate_file(path))))
        for path in sorted(chosen, key=lambda path: position(name, path))
    ]


def _distribution(package: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingPackageError(
            f"`packages` must name installed packages, but {package!r} is not installed. "
            f"Install it (`pip install {package}`) or take it out of `packages`."
        ) from None


def _python_paths(package: str) -> list[str]:
    files = _distribution(package).files
    paths = [file.as_posix() for file in files or () if file.suffix == ".py" and ".." not in file.parts]
    paths = [path for path in paths if _SKIPPED_FOLDERS.isdisjoint(path.split("/")[:-1])]
    if not paths:
        raise MissingPackageError(
            f"`packages` must name packages with Python source, but the installation of {package!r} lists none. "
            f"Install it from a wheel (`pip install --force-reinstall {package}`) or take it out of `packages`."
        )
    return paths
