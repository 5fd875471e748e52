"""Processes side by side: their order, their share of the machine, how they fail, and that none is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tgframe.swap.jobs import Command, Slots, run_all

MakeCommand = Callable[[str, str], Command]


@pytest.fixture
def command(tmp_path: Path) -> MakeCommand:
    """``command(name, code)`` runs a line of Python."""
    return lambda name, code: Command((sys.executable, "-S", "-E", "-c", code), tmp_path / "told" / f"{name}.txt")


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_for(path: Path) -> str:
    for _ in range(600):
        if path.exists() and path.read_text():
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} was not written")


def test_commands_run_in_their_order(command: MakeCommand) -> None:
    commands = [command(str(number), "") for number in range(3)]
    assert list(run_all(commands, Slots())) == commands
    assert not any(one.told.exists() or one.telling.exists() for one in commands)


def test_several_run_side_by_side(command: MakeCommand, tmp_path: Path) -> None:
    # The first ends only when the second has begun.
    begun = str(tmp_path / "begun")
    first = f"import os, time\nwhile not os.path.exists({begun!r}): time.sleep(0.02)"
    second = f"open({begun!r}, 'w')"
    commands = [command("first", first), command("second", second)]
    assert set(run_all(commands, Slots(2))) == set(commands)


def test_what_a_process_says_is_kept_when_it_fails(command: MakeCommand) -> None:
    loud = command("loud", "import sys; sys.stderr.write('first\\nlast: words\\n'); sys.exit(3)")
    silent = command("silent", "import sys; sys.exit(4)")
    killed = command("killed", "import os, sys; sys.stderr.write('dying'); sys.stderr.flush(); os.kill(os.getpid(), 9)")
    fine = command("fine", "import sys; sys.stderr.write('a warning')")
    assert list(run_all([loud, silent, killed, fine], Slots())) == [loud, silent, killed, fine]
    assert loud.told.read_text() == "first\nlast: words\n"
    assert silent.told.read_text().strip() == "exit status 4"
    assert killed.told.read_text().split("\n") == ["dying", "ended by SIGKILL", ""]
    assert not fine.told.exists()


def test_cores_and_gpus_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    slots = Slots(4, 10, ("4", "5", "6"))
    assert [slots.environment(slot)["OMP_NUM_THREADS"] for slot in range(4)] == ["2"] * 4
    assert [slots.environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["4", "5", "6", "4"]
    assert Slots(4, 2).environment(0)["OMP_NUM_THREADS"] == "1"
    assert Slots(2, 2, ("4",)).environment(1)["CUDA_VISIBLE_DEVICES"] == "4,5,6"
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert slots.environment(0)["OMP_NUM_THREADS"] == "7"


def test_who_stops_early_ends_the_rest(command: MakeCommand, tmp_path: Path) -> None:
    sleeper = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    commands = [command("quick", ""), command("slow", sleeper), command("never", "")]
    running = run_all(commands, Slots(2))
    assert next(running) is commands[0]
    pid = int(wait_for(tmp_path / "pid"))
    running.close()
    assert not alive(pid)
    assert list((tmp_path / "told").iterdir()) == []


def test_a_process_that_does_not_listen_is_killed(
    command: MakeCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tgframe.swap.jobs._END_SECONDS", 0.2)
    pid = str(tmp_path / "pid")
    deaf = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"open({pid!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    running = run_all([command("quick", ""), command("deaf", deaf)], Slots(2))
    next(running)
    number = int(wait_for(Path(pid)))
    running.close()
    assert not alive(number)


def test_a_child_ends_when_its_parent_is_gone(tmp_path: Path) -> None:
    # In place of tgframe: a package that would sleep for a minute.
    package = tmp_path / "tgframe"
    package.mkdir()
    (package / "__init__.py").write_text("")
    pid = tmp_path / "pid"
    (package / "__main__.py").write_text(
        f"import os, sys, time\nopen({str(pid)!r}, 'w').write(f'{{os.getpid()}} {{sys.argv[1:]}}')\ntime.sleep(60)\n"
    )
    child = Path(__file__).parents[2] / "tgframe" / "swap" / "child.py"
    parent = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, {str(child)!r}, 'run', 'x'], stdin=subprocess.PIPE)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], env={**os.environ, "PYTHONPATH": str(tmp_path)})
    number, words = wait_for(pid).split(" ", 1)
    assert words == "['run', 'x']"
    process.send_signal(signal.SIGKILL)
    process.wait()
    gone = next((True for _ in range(200) if not alive(int(number)) or time.sleep(0.05)), False)
    assert gone
