"""Checkpoints: the states of all parts in one folder, whole or not there at all.

``NAME.json`` is the tree of part NAME, ``NAME.safetensors`` its tensors, ``MANIFEST.json`` the sha256 of every file.
The folder is written beside its place, synchronised, and renamed into it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tgframe.errors import CheckpointError
from tgframe.runtime.files import AT_ONCE, sync, write_json, writing
from tgframe.runtime.tree import Encoder, decode

MANIFEST = "MANIFEST.json"
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def write_checkpoint(folder: Path, parts: Mapping[str, Any]) -> None:
    """Write the states of ``parts`` (see :mod:`tgframe.runtime.tree`) to ``folder``, replacing what is there.

    Raises :class:`~tgframe.errors.RunFolderError` when it cannot be written; nothing is left behind then.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir()
            write_json(temporary / MANIFEST, {"format": FORMAT, "sha256": _write_parts(temporary, parts)})
            _move(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the states by part name, tensors on the CPU.

    Raises :class:`~tgframe.errors.CheckpointError` naming the file that is missing or damaged.
    """
    files = _read_manifest(folder)
    for name, digest in files.items():
        _verify(folder / name, digest)
    return {name.removesuffix(".json"): _read_part(folder, name) for name in files if name.endswith(".json")}


def _write_parts(folder: Path, parts: Mapping[str, Any]) -> dict[str, str]:
    """Write all parts; return the sha256 of each file by its name, once the files are on the disk."""
    encoded = [_Encoded.of(name, state) for name, state in parts.items()]
    encoded.sort(key=lambda part: part.size, reverse=True)  # what takes longest to flush and to hash begins first
    with ThreadPoolExecutor(AT_ONCE) as pool:  # flushes and hashes while the next part is written
        digests, waits = {}, []
        for part in encoded:
            for path in part.write(folder):
                waits.append(pool.submit(sync, path))
                digests[path.name] = pool.submit(_sha256, path)
        for wait in waits:
            wait.result()  # raises what went wrong
        return {name: digest.result() for name, digest in digests.items()}


@attrs.frozen(eq=False)
class _Encoded:
    """A part as its two files hold it."""

    name: str
    tree: str
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, name: str, state: Any) -> _Encoded:
        if not _NAME.fullmatch(name):
            raise ValueError(f"a part's name must be a file name, but is {name!r} instead")
        encoder = Encoder()
        return cls(name, json.dumps(encoder.encode(state, name), allow_nan=False), encoder.tensors)

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.tree) + sum(tensor.nbytes for tensor in self.tensors.values())

    def write(self, folder: Path) -> list[Path]:
        """Write the files, not yet flushed; return them."""
        tree, tensors = folder / f"{self.name}.json", folder / f"{self.name}.safetensors"
        tree.write_text(self.tree, encoding="utf-8")
        try:
            save_file(dict(self.tensors), tensors)
        except SafetensorError as error:  # its way to say that the disk is full
            raise OSError(str(error)) from error
        return [tensors, tree]


def _move(temporary: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        os.rename(folder, old)  # a folder cannot be renamed over another one
    os.rename(temporary, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found, files = manifest["format"], dict(manifest["sha256"])
    except FileNotFoundError:
        raise CheckpointError(f"{str(folder)!r} is not a checkpoint: it has no {MANIFEST}. Use another one.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if found != FORMAT:
        raise CheckpointError(f"{str(path)!r} has format {found!r}, but this tgframe reads format {FORMAT}.")
    return files


def _verify(path: Path, digest: str) -> None:
    try:
        found = _sha256(path)
    except FileNotFoundError:
        raise CheckpointError(f"{str(path)!r} is missing from its checkpoint. Use an earlier checkpoint.") from None
    except OSError as error:
        raise _damaged(path) from error
    if found != digest:
        raise _damaged(path)


def _read_part(folder: Path, name: str) -> Any:
    path = folder / name
    try:
        tensors = load_file(path.with_suffix(".safetensors"))
        return decode(json.loads(path.read_text(encoding="utf-8")), tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{str(path)!r} is damaged: it is not what its checkpoint wrote. Use an earlier checkpoint.")


def _sha256(path: Path) -> str:
    if not path.stat().st_size:  # such a file cannot be mapped
        return hashlib.sha256().hexdigest()
    # All at once: a thread that reads piece by piece would ask for the interpreter's lock between two of them.
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()
