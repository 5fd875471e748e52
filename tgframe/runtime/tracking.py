"""TensorBoard curves, through the life-cycle hooks that every tracker uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tgframe.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes the numbers of every step to ``tensorboard/`` in the run folder, one curve a phase and key.

    One object follows one run at a time: the run that started last.
    """

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    @hookimpl
    def tgframe_run_started(self, run: Any) -> None:
        """Open the event file in ``run.folder / "tensorboard"``."""
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), flush_secs=10)

    @hookimpl
    def tgframe_step_finished(self, step: int, phase: str, metrics: Mapping[str, Any]) -> None:
        """Add the numbers among ``metrics``; text and missing values have no curve."""
        if self._writer is None:
            return
        for key, value in metrics.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and key != "step":
                self._writer.add_scalar(f"{phase}/{key}", value, step)

    @hookimpl
    def tgframe_run_finished(self) -> None:
        """Close the event file."""
        self.close()

    def close(self) -> None:
        """Write out and close the event file, if one is open: also for a run that failed."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
