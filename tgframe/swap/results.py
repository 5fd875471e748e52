"""What all runs of a swap have reached so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tgframe.swap.cells import Cell
from tgframe.swap.folder import Outcome, outcome
from tgframe.swap.items import Items, read_items
from tgframe.swap.plan import Plan


@attrs.frozen(eq=False)
class Results:
    """The outcome of every run, by cell and seed."""

    plan: Plan
    outcomes: Mapping[tuple[str, int], Outcome]
    folders: Mapping[tuple[str, int], Path]
    _items: dict[tuple[str, int], Items] = attrs.field(factory=dict)

    @classmethod
    def read(cls, plan: Plan, output: Path) -> Results:
        """Read the run folders of a plan in the swap folder ``output``."""
        folders = {(run.cell.id, run.seed): output / run.folder for run in plan.runs}
        return cls(plan, {key: outcome(folder) for key, folder in folders.items()}, folders)

    @property
    def complete(self) -> bool:
        """Whether no run is to come."""
        return not any(found.status == "pending" for found in self.outcomes.values())

    def of(self, cell: Cell, seed: int) -> Outcome:
        """Return the outcome of one run."""
        return self.outcomes[cell.id, seed]

    def score(self, cell: Cell, seed: int, metric: str, system: str) -> float | None:
        """Return one score; None where the run has none."""
        value = self.of(cell, seed).result.get("scores", {}).get(metric, {}).get(system)
        return None if value is None else float(value)

    def failed(self, *cells: Cell) -> list[int]:
        """Return the seeds with which a run of one of the cells has failed."""
        return self._with_status("failed", cells)

    def pending(self, *cells: Cell) -> list[int]:
        """Return the seeds with which a run of one of the cells is still to come."""
        return self._with_status("pending", cells)

    def _with_status(self, status: str, cells: Sequence[Cell]) -> list[int]:
        return [seed for seed in self.plan.request.seeds if any(self.of(cell, seed).status == status for cell in cells)]

    def names(self) -> list[tuple[str, str]]:
        """Return every metric with every system that any run has scored, metric by metric, in the order of the runs."""
        found: dict[str, dict[str, None]] = {}
        for one in self.outcomes.values():
            for metric, systems in one.result.get("scores", {}).items():
                found.setdefault(metric, {}).update(dict.fromkeys(systems))
        return [(metric, system) for metric, systems in found.items() for system in systems]

    def items(self, cell: Cell, seed: int) -> Items:
        """Return the test items of one finished run."""
        key = (cell.id, seed)
        if key not in self._items:
            self._items[key] = read_items(self.folders[key])
        return self._items[key]
