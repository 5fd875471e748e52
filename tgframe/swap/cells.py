"""The cells of a swap: which settings are tried, and which of them is the baseline."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from tgframe.errors import RecipeError
from tgframe.recipe.load import load_recipe
from tgframe.registry.manager import Plugins
from tgframe.swap.request import RECIPE, Request, Value, Vary

_LONGEST = 100
"""Characters of a folder's name."""


@attrs.frozen
class Cell:
    """One setting of the varied keys."""

    settings: Mapping[str, str]
    """Varied key to the text of its value."""
    recipe: Path
    """The recipe that is run."""
    overrides: tuple[str, ...]
    """What is laid over the recipe."""
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
    resolved = _resolved(request, _Change(request.recipe), plugins)
    own = {vary.key: _own(request, vary, resolved, plugins) for vary in request.vary}
    if not request.one_at_a_time:
        return _product(request, own)
    texts = {key: value.text if value else _text(request, resolved, key) for key, value in own.items()}
    changed = [
        Cell({**texts, vary.key: value.text}, *_change(request, vary, value), baseline=False)
        for vary in request.vary
        for value in vary.values
        if value != own[vary.key]
    ]
    return [Cell(texts, request.recipe, (), baseline=True), *changed]


class _Change(NamedTuple):
    """What a value of a varied key does to a run."""

    recipe: Path
    overrides: tuple[str, ...] = ()


def _change(request: Request, vary: Vary, value: Value) -> _Change:
    if vary.key == RECIPE:
        return _Change(Path(value.text))
    return _Change(request.recipe, (f"{vary.key}={value.yaml}",))


def _product(request: Request, own: Mapping[str, Value | None]) -> list[Cell]:
    first = tuple(own[vary.key] or vary.values[0] for vary in request.vary)
    return [
        _cell(request, values, baseline=values == first)
        for values in itertools.product(*(vary.values for vary in request.vary))
    ]


def _cell(request: Request, values: Sequence[Value], baseline: bool) -> Cell:
    """Return the cell in which each varied key has its value."""
    chosen = list(zip(request.vary, values, strict=True))
    changes = {vary.key: _change(request, vary, value) for vary, value in chosen}
    recipe = changes[RECIPE].recipe if RECIPE in changes else request.recipe
    overrides = tuple(itertools.chain.from_iterable(change.overrides for change in changes.values()))
    return Cell({vary.key: value.text for vary, value in chosen}, recipe, overrides, baseline)


def _own(request: Request, vary: Vary, resolved: Mapping[str, Any] | None, plugins: Plugins) -> Value | None:
    """Return the value that changes nothing, or None."""
    if resolved is None:
        return None
    changes = {value: _change(request, vary, value) for value in vary.values}
    return next((value for value, change in changes.items() if _resolved(request, change, plugins) == resolved), None)


def _resolved(request: Request, change: _Change, plugins: Plugins) -> Mapping[str, Any] | None:
    """Return the recipe in full; None where it does not stand, which is told when the cells are checked."""
    try:
        return load_recipe(change.recipe, [*request.common(), *change.overrides], plugins).resolved
    except RecipeError:
        return None


def _text(request: Request, resolved: Mapping[str, Any] | None, key: str) -> str:
    """Return the recipe's own value as a short text: a component's name, else YAML."""
    if key == RECIPE:
        return str(request.recipe)
    value: Any = resolved
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping) and "type" in value:
        value = value["type"]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
