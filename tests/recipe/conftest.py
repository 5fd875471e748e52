"""Plugins for recipe tests: the built-ins and the pretend parts of parts.py, nothing that happens to be installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tgframe.recipe.load import LoadedRecipe, load_recipe
from tgframe.registry import manager
from tgframe.registry.manager import Plugins, load_plugins

PARTS = Path(__file__).with_name("parts.py")


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manager, "discover", list)
        return load_plugins(blocked=(), files=[PARTS])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a file below the working directory, which is a fresh folder; return its relative path."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "recipe.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load(plugins: Plugins) -> Callable[..., LoadedRecipe]:
    def load(source: Any, *overrides: str) -> LoadedRecipe:
        return load_recipe(source, overrides, plugins)

    return load


@pytest.fixture
def mistakes(plugins: Plugins) -> Callable[..., list[str]]:
    """Load a recipe that is mistaken; return its lines."""
    from tgframe.errors import RecipeError

    def mistakes(source: Any, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load_recipe(source, overrides, plugins)
        lines = list(caught.value.mistakes)
        assert lines
        assert not any("\n" in line for line in lines)
        return lines

    return mistakes
