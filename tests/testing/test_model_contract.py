"""One planted violation for each law of model sources makes exactly that law fail."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from safetensors.torch import save_file

from tgframe import ModelError, ModelSource
from tgframe.testing import ModelSourceContract


@attrs.frozen
class Shelf(ModelSource):
    """Two models in a folder."""

    folder: Path
    """Where they lie."""

    def locate(self, name: str) -> Path:
        known = sorted(path.name for path in self.folder.iterdir())
        if name not in known:
            raise ModelError(f"A model must be one of {', '.join(known)}, but is {name!r} instead.")
        return self.folder / name


class ShelfContract(ModelSourceContract):
    source_class: type[Shelf] = Shelf

    def make(self) -> Shelf:
        shelf = self.folder / "shelf"
        for name in self.names():
            if not (shelf / name).is_dir():
                (shelf / name).mkdir(parents=True)
                self.write(shelf / name)
        return self.source_class(shelf)

    def write(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
        save_file({"weight": torch.ones(2)}, folder / "model.safetensors")

    def names(self) -> tuple[str, ...]:
        return ("small", "large")


class TestShelf(ShelfContract):
    pass


@attrs.frozen
class Texts(Shelf):
    """Returns paths as text."""

    def locate(self, name: str) -> Any:
        return str(super().locate(name))


@attrs.frozen
class Wanders(Shelf):
    """Returns the model under a longer path at every call."""

    def locate(self, name: str) -> Path:
        found = super().locate(name)
        return found.joinpath(*["..", name] * next(TURNS))


TURNS = itertools.count()


@attrs.frozen
class KeyErrorForUnknown(Shelf):
    """Raises what is for programmers."""

    def locate(self, name: str) -> Path:
        return {path.name: path for path in self.folder.iterdir()}[name]


@attrs.frozen
class SilentAboutNames(Shelf):
    """Does not say which models there are."""

    def locate(self, name: str) -> Path:
        try:
            return super().locate(name)
        except ModelError:
            raise ModelError(f"There is no model {name!r}.") from None


@attrs.frozen
class LeavesTheShelf(Shelf):
    """Follows any path."""

    def locate(self, name: str) -> Path:
        return self.folder / name if name and (self.folder / name).is_dir() else super().locate(name)


MUTATIONS: dict[type[Shelf], str] = {
    Texts: "every_name_is_a_model",
    Wanders: "locates_the_same_twice",
    KeyErrorForUnknown: "unknown_names_are_told",
    SilentAboutNames: "unknown_names_are_told",
    LeavesTheShelf: "unknown_names_are_told",
}


@pytest.mark.parametrize("planted", MUTATIONS, ids=lambda planted: planted.__name__)
def test_a_planted_violation_breaks_its_law_and_no_other(
    planted: type[Shelf], broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(ShelfContract):
        source_class = planted

    assert broken_laws(Contract) == {MUTATIONS[planted]}


FILES: list[tuple[str, str, str | None]] = [
    ("every_name_is_a_model", "config.json", None),
    ("every_name_is_a_model", "config.json", "{}"),
    ("weights_are_safetensors", "model.safetensors", None),
    ("weights_are_safetensors", "model.safetensors", "version of a pointer"),
    ("holds_neither_pickle_nor_code", "pytorch_model.bin", ""),
    ("holds_neither_pickle_nor_code", "modeling.py", ""),
    ("holds_neither_pickle_nor_code", "config.json", '{"auto_map": {"AutoModel": "modeling.Model"}}'),
]
"""Law, file, and what it holds; None where it is gone."""


@pytest.mark.parametrize(("law", "name", "text"), FILES)
def test_bad_files_break_their_law_and_no_other(
    law: str, name: str, text: str | None, broken_laws: Callable[[type], set[str]]
) -> None:
    class Contract(ShelfContract):
        def write(self, folder: Path) -> None:
            super().write(folder)
            if text is None:
                (folder / name).unlink()
            else:
                (folder / name).write_text(text)

    assert broken_laws(Contract) == {law}


def test_every_law_of_models_has_a_violation_here() -> None:
    laws = {name.removeprefix("test_") for name in vars(ModelSourceContract) if name.startswith("test_")}
    assert laws == {*MUTATIONS.values(), *(law for law, _, _ in FILES)}
