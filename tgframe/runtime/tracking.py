"""TensorBoard curves, through the life-cycle hooks that every tracker uses."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tgframe import hookimpl
from tgframe.runtime.files import writing
from tgframe.runtime.run_folder import read_metrics

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes the numbers of every step to ``tensorboard/`` in the run folder, one curve a phase and key.

    One object follows one run at a time: the run that started last.
    """

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None
        self._folder = Path()

    @hookimpl
    def tgframe_run_started(self, run: Any) -> None:
        """Open the event file in ``run.folder / "tensorboard"``."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._folder = run.folder / "tensorboard"
        with writing(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)  # a resumed run: its curves are drawn anew from its rows
            self._writer = SummaryWriter(str(self._folder), flush_secs=10)
        for row in read_metrics(run.folder):
            phase = row.pop("phase")
            self._add(row.get("ground_step", row["step"]) if phase == "ground" else row["step"], phase, row)

    @hookimpl
    def tgframe_step_finished(self, step: int, phase: str, metrics: Mapping[str, Any]) -> None:
        """Add the numbers among ``metrics``; text and missing values have no curve."""
        self._add(step, phase, metrics)

    def _add(self, step: int, phase: str, metrics: Mapping[str, Any]) -> None:
        if self._writer is None:
            return
        numbers = (item for item in metrics.items() if type(item[1]) in (int, float) and item[0] != "step")
        with writing(self._folder):
            for key, value in numbers:
                self._writer.add_scalar(f"{phase}/{key}", value, step)

    @hookimpl
    def tgframe_run_finished(self) -> None:
        """Close the event file."""
        self.close()

    def close(self) -> None:
        """Write out and close the event file, if one is open: also for a run that failed."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with writing(self._folder):
                writer.close()
