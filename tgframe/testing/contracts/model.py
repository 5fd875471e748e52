"""The laws of model sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open

from tgframe.errors import ModelError
from tgframe.interfaces.models import ModelSource
from tgframe.testing.contracts.specification import SpecificationContract

REFUSED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".h5", ".msgpack", ".py", ".so")
"""Endings of weights that are not safetensors, and of code."""


class ModelSourceContract(SpecificationContract):
    """What every model source keeps to. Write ``make`` and ``names``."""

    kind = "model"

    def names(self) -> tuple[str, ...]:
        """Return the names that the source knows, without its prefix."""
        raise NotImplementedError("write `def names(self)` that returns the names that the source knows")

    def source(self) -> ModelSource:
        """Return the part."""
        part = self.part()
        assert isinstance(part, ModelSource)
        return part

    def test_every_name_is_a_model(self) -> None:
        self.require(self.test_builds_its_interface)
        assert self.names(), "names() must hold one name at least"
        for name in self.names():
            folder = self.source().locate(name)
            assert isinstance(folder, Path), f"locate() must return a Path, but for {name!r} returns {folder!r}"
            assert (folder / "config.json").is_file(), f"{name!r}: {folder} has no config.json"
            assert json.loads((folder / "config.json").read_text("utf-8")), f"{name!r}: config.json says nothing"

    def test_weights_are_safetensors(self) -> None:
        self.require(self.test_every_name_is_a_model)
        for name in self.names():
            files = sorted(self.source().locate(name).glob("*.safetensors"))
            assert files, f"{name!r} has no weights in safetensors"
            for file in files:
                assert _holds_tensors(file), f"{file} cannot be read as safetensors"

    def test_holds_neither_pickle_nor_code(self) -> None:
        self.require(self.test_every_name_is_a_model)
        for name in self.names():
            folder = self.source().locate(name)
            bad = sorted(path.name for path in folder.rglob("*") if path.name.lower().endswith(REFUSED))
            assert not bad, f"{name!r}: a model is data, but there are {', '.join(bad)}"
            assert "auto_map" not in json.loads((folder / "config.json").read_text("utf-8")), f"{name!r} names code"

    def test_locates_the_same_twice(self) -> None:
        self.require(self.test_every_name_is_a_model)
        for name in self.names():
            assert self.source().locate(name) == self.source().locate(name), f"{name!r} moves about"

    def test_unknown_names_are_told(self) -> None:
        self.require(self.test_every_name_is_a_model)
        for name in ("no-such-model", "", ".", "..", f"{self.names()[0]}/..", f"../{self.names()[0]}"):
            with pytest.raises(ModelError) as raised:
                self.source().locate(name)
            missing = [known for known in self.names() if known not in str(raised.value)]
            assert not missing, f"the message must name the models that exist, {missing} too: {raised.value}"


def _holds_tensors(file: Path) -> bool:
    try:
        with safe_open(file, "pt") as tensors:
            return bool(list(tensors.keys()))
    except (OSError, SafetensorError):
        return False
