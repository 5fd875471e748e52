"""The runs of a swap, all of them checked before the first one starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tgframe.errors import RecipeError
from tgframe.recipe.load import LoadedRecipe, load_recipe
from tgframe.recipe.plan import Cost, estimate
from tgframe.registry.manager import Plugins
from tgframe.swap.cells import Cell, make_cells
from tgframe.swap.request import Request


@attrs.frozen(eq=False)
class PlannedRun:
    """One cell with one seed."""

    cell: Cell
    seed: int
    overrides: tuple[str, ...]
    """Everything that is laid over the recipe."""
    resolved: Mapping[str, Any]
    """The recipe in full."""

    @property
    def folder(self) -> str:
        """The run folder, relative to the swap's."""
        return self.cell.run_folder(self.seed)


@attrs.frozen(eq=False)
class Plan:
    """Everything that a swap will run."""

    request: Request
    cells: Sequence[Cell]
    runs: Sequence[PlannedRun]
    """Seed by seed, so that a swap that is stopped has as many runs of one cell as of another, give or take one."""
    costs: Mapping[str, Cost]
    """Cell to what one run of it will do at most."""
    distributions: Mapping[str, str]
    """The distributions that bring the parts, with their versions."""

    @property
    def baseline(self) -> Cell:
        """The cell that the others are compared with."""
        return next(cell for cell in self.cells if cell.baseline)


def make_plan(request: Request, plugins: Plugins) -> Plan:
    """Return the runs of a swap. Raises RecipeError with every mistake of every cell."""
    cells = make_cells(request, plugins)
    mistakes: dict[str, list[str]] = {}
    loaded = {cell.id: _load_cell(request, cell, plugins, mistakes) for cell in cells}
    if mistakes:
        raise RecipeError([f"{_whose(ids, len(cells))}: {message}" for message, ids in mistakes.items()])
    if twins := _twins({name: of_cell[0] for name, of_cell in loaded.items()}):
        raise RecipeError(twins)
    runs = [
        PlannedRun(cell, seed, (*_overrides(request, cell), *request.seeding(seed)), loaded[cell.id][index].resolved)
        for index, seed in enumerate(request.seeds)
        for cell in cells
    ]
    first = {name: of_cell[0] for name, of_cell in loaded.items()}
    parts = [part for one in first.values() for part in plugins.provenance(one.recipe).values()]
    return Plan(
        request,
        cells,
        runs,
        {name: estimate(one.recipe) for name, one in first.items()},
        {Path(part["distribution"]).name: part["version"] for part in parts},  # a plugin of one file is a path
    )


def _overrides(request: Request, cell: Cell) -> tuple[str, ...]:
    return (*request.common(), *cell.overrides)


def _load_cell(request: Request, cell: Cell, plugins: Plugins, mistakes: dict[str, list[str]]) -> list[LoadedRecipe]:
    """Load a cell with every seed; of a cell that is mistaken, once is enough."""
    try:
        return [
            load_recipe(cell.recipe, [*_overrides(request, cell), *request.seeding(seed)], plugins)
            for seed in request.seeds
        ]
    except RecipeError as error:
        for message in error.mistakes:
            mistakes.setdefault(message, []).append(cell.id)
        return []


def _whose(ids: Sequence[str], cells: int) -> str:
    if len(ids) == cells > 1:
        return "every cell"
    return f"cell{'s' if len(ids) > 1 else ''} {', '.join(map(repr, ids))}"


def _twins(cells: Mapping[str, LoadedRecipe]) -> list[str]:
    """Return one message for each cell that is the recipe of an earlier one."""
    seen: dict[str, str] = {}
    messages = []
    for name, loaded in cells.items():
        earlier = seen.setdefault(json.dumps(loaded.resolved, sort_keys=True), name)
        if earlier != name:
            messages.append(f"cells {earlier!r} and {name!r} are the same recipe. Remove one of the values.")
    return messages
