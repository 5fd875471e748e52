"""The cells of a swap: which settings are tried, and which of them is the baseline."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tgframe.errors import RecipeError
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import Plugins
from tgframe.swap.request import Request, Value, Vary

_LONGEST = 100
"""Characters of a folder's name."""


@attrs.frozen
class Cell:
    """One setting of the varied keys."""

    settings: Mapping[str, str]
    """Varied key to the text of its value."""
    overrides: tuple[str, ...]
    """What makes the recipe this cell."""
    baseline: bool

    @property
    def id(self) -> str:
        """The settings as one text."""
        return ",".join(f"{key}={text}" for key, text in self.settings.items())

    @property
    def folder(self) -> str:
        """The id as a folder's name: itself where it can be one, else shortened, with a hash that tells it apart."""
        safe = re.sub(r"[^\w.=,+-]+", "_", self.id, flags=re.ASCII)[:_LONGEST]
        return safe if safe == self.id else f"{safe}-{hashlib.sha256(self.id.encode()).hexdigest()[:8]}"

    def run_folder(self, seed: int) -> str:
        """Return the run folder of one seed, relative to the swap's."""
        return f"cells/{self.folder}/seed-{seed}"


def make_cells(request: Request, plugins: Plugins) -> list[Cell]:
    """Return all cells, in the order of the values. The recipe's own setting is the baseline, where it is among them.

    One at a time, the first cell is the recipe as it stands, and each other one changes a single key.
    """
    recipe = _resolved(request, (), plugins)
    own = {vary.key: _own(request, vary, recipe, plugins) for vary in request.vary}
    if not request.one_at_a_time:
        return _product(request.vary, own)
    texts = {key: value.text if value else _text(recipe, key) for key, value in own.items()}
    changed = [
        Cell({**texts, vary.key: value.text}, (f"{vary.key}={value.yaml}",), False)
        for vary in request.vary
        for value in vary.values
        if value != own[vary.key]
    ]
    return [Cell(texts, (), True), *changed]


def _product(varied: Sequence[Vary], own: Mapping[str, Value | None]) -> list[Cell]:
    first = tuple(own[vary.key] or vary.values[0] for vary in varied)
    keys = [vary.key for vary in varied]
    return [
        Cell(
            {key: value.text for key, value in zip(keys, values, strict=True)},
            tuple(f"{key}={value.yaml}" for key, value in zip(keys, values, strict=True)),
            values == first,
        )
        for values in itertools.product(*(vary.values for vary in varied))
    ]


def _own(request: Request, vary: Vary, recipe: Mapping[str, Any] | None, plugins: Plugins) -> Value | None:
    """Return the value that changes nothing, or None."""
    if recipe is None:
        return None
    overrides = {value: (f"{vary.key}={value.yaml}",) for value in vary.values}
    return next((value for value, over in overrides.items() if _resolved(request, over, plugins) == recipe), None)


def _resolved(request: Request, overrides: Sequence[str], plugins: Plugins) -> Mapping[str, Any] | None:
    """Return the recipe in full; None where it does not stand, which is told when the cells are checked."""
    try:
        return load_recipe(request.recipe, [*request.common(), *overrides], plugins).resolved
    except RecipeError:
        return None


def _text(recipe: Mapping[str, Any] | None, key: str) -> str:
    """Return the recipe's own value as a short text: a component's name, else YAML."""
    value: Any = recipe
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) and "type" in value:
        value = value["type"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
