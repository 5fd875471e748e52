"""TensorBoard curves and progress bars."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pluggy
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tgframe.registry import hookspecs
from tgframe.runtime import progress as bars
from tgframe.runtime.progress import progress
from tgframe.runtime.tracking import TensorBoard


def test_curves_come_through_the_life_cycle_hooks(tmp_path: Path) -> None:
    manager = pluggy.PluginManager("tgframe")
    manager.add_hookspecs(hookspecs)
    manager.register(TensorBoard())
    manager.check_pending()
    run = SimpleNamespace(folder=tmp_path)
    manager.hook.tgframe_step_finished(run=run, step=0, phase="improve", metrics={"loss": 1.0})  # before any run
    manager.hook.tgframe_run_started(run=run)
    for step in (1, 2):
        metrics = {"step": step, "loss": 0.5 * step, "text": "no", "flag": True, "none": None}
        manager.hook.tgframe_step_finished(run=run, step=step, phase="improve", metrics=metrics)
    manager.hook.tgframe_step_finished(run=run, step=2, phase="evaluate", metrics={"accuracy": 1})
    manager.hook.tgframe_run_finished(run=run, result={})
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["improve/loss", "evaluate/accuracy"]
    assert [(event.step, event.value) for event in events.Scalars("improve/loss")] == [(1, 0.5), (2, 1.0)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_bars() -> None:
    with progress("grounding", 4) as advance:
        advance(2, "loss 0.5 [odd]")
        with progress("validation") as inner:
            inner()
        advance()
        if bars._display is not None:
            assert [task.description for task in bars._display.tasks] == ["grounding"], "inner bars go when they end"


def test_bars_nest_on_a_terminal_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    run_bars()
    run_bars()
    assert "grounding" in terminal.getvalue()
    assert "loss 0.5 [odd]" in terminal.getvalue()
    assert "validation" in terminal.getvalue()
    assert bars._display is None


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_silent_elsewhere(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("RANK", "1" if terminal else "0")
    run_bars()
    assert stream.getvalue() == ""


def test_a_failing_phase_clears_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(KeyError), progress("improving", 2):
        raise KeyError
    assert bars._display is None
