"""Where importable code comes from."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import platform
import sys
from importlib import metadata
from pathlib import Path


def origin(module: str) -> str:
    """Return ``"distribution version"`` of an importable module.

    The standard library is called ``"Python 3.11.4"``. Of a module that no installed distribution holds it is the file
    that counts: ``"sha256 DIGEST"``, the first 12 digits; ``"no file"`` where there is none, as in a notebook.
    """
    top = module.partition(".")[0]
    owners = sorted(set(metadata.packages_distributions().get(top, ())))
    if owners:  # more than one where they share a namespace package
        return " or ".join(f"{name} {metadata.version(name)}" for name in owners)
    if top in sys.stdlib_module_names:
        return f"Python {platform.python_version()}"
    file = _file(module)
    return "no file" if file is None else f"sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _file(module: str) -> Path | None:
    name = getattr(sys.modules.get(module), "__file__", None)
    if name is None:
        with contextlib.suppress(ImportError, ValueError):  # ValueError: the module __main__ of a notebook
            spec = importlib.util.find_spec(module)
            name = spec.origin if spec is not None else None
    return Path(name) if name is not None and Path(name).is_file() else None
