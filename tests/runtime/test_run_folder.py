"""Run folders: one process at a time, never over a finished run; files that are whole."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

from tgframe.errors import RunFolderError
from tgframe.runtime.checkpoint import write_checkpoint
from tgframe.runtime.files import JsonLines, plain, write_json
from tgframe.runtime.run_folder import LOCK, RunFolder, checkpoints


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_folder_is_taken_and_given_back(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    with RunFolder.create(path) as run:
        assert names(path) == {LOCK}
        run.write_json("manifest.json", {"seed": 0})
    assert names(path) == {"manifest.json"}


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RunFolder.create(tmp_path / "one"):
        raise KeyError
    assert not [*tmp_path.iterdir()]
    with RunFolder.create(tmp_path):
        pass
    assert tmp_path.exists(), "a folder that was there before stays"


def test_a_folder_of_another_process_takes_everything_and_writes_nothing(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "one") as held, RunFolder.create(tmp_path / "one", writes=False) as other:
        other.write_json("manifest.json", {"seed": 0})
        other.write_text("recipe.yaml", "")
        for stream in (other.metrics, other.samples, other.evaluations):
            stream.write({"step": 1})
        other.sync()
        other.cut({"metrics.jsonl": 0})
        assert other.sizes() == {}
        assert other.path == held.path
        assert other.checkpoint(3) == held.checkpoint(3)
        assert names(held.path) == {LOCK}
    assert not (tmp_path / "one").exists()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        RunFolder.create(tmp_path / "one"),
        pytest.raises(RunFolderError, match=rf"in use by process {os.getpid()}\. .*delete"),
    ):
        RunFolder.create(tmp_path / "one")
    RunFolder.create(tmp_path / "one").close()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    code = "import os, sys; from pathlib import Path; from tgframe.runtime.run_folder import RunFolder\n"
    code += "RunFolder.create(Path(sys.argv[1])).write_text('recipe.yaml', ''); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "one")], check=False)
    assert LOCK in names(tmp_path / "one")
    RunFolder.create(tmp_path / "one", resume=True).close()
    assert names(tmp_path / "one") == {"recipe.yaml"}


@pytest.mark.parametrize(
    ("change", "held"),
    [
        ({}, True),
        ({"started": 1.0}, False),  # this number belongs to another process now
        ({"pid": 2**22 + 1}, False),
        ({"host": "elsewhere"}, True),
    ],
)
def test_locks_are_judged_by_process_start_and_host(tmp_path: Path, change: dict[str, object], held: bool) -> None:
    first = RunFolder.create(tmp_path)
    lock = json.loads((tmp_path / LOCK).read_text())
    assert lock["pid"] == os.getpid()
    assert lock["host"] == socket.gethostname()
    (tmp_path / LOCK).write_text(json.dumps(lock | change))
    if held:
        with pytest.raises(RunFolderError, match="in use by process"):
            RunFolder.create(tmp_path)
    else:
        RunFolder.create(tmp_path).close()
    first.close()


def test_a_lock_that_cannot_be_read_counts_as_held(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("")
    with pytest.raises(RunFolderError, match="in use by another process"):
        RunFolder.create(tmp_path)


def test_finished_unfinished_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"neither empty nor a run folder; it holds 'thesis\.tex'"):
        RunFolder.create(tmp_path)
    assert names(tmp_path) == {"thesis.tex"}
    run = tmp_path / "run"
    run.mkdir()
    RunFolder.create(run, resume=True).close()
    (run / "recipe.yaml").write_text("")
    with pytest.raises(RunFolderError, match="unfinished run"):
        RunFolder.create(run)
    RunFolder.create(run, resume=True).close()
    (run / "result.json").write_text("{}")
    for resume in (False, True):
        with pytest.raises(RunFolderError, match="finished run"):
            RunFolder.create(run, resume=resume)
    with pytest.raises(RunFolderError, match="is a file instead"):
        RunFolder.create(tmp_path / "thesis.tex")


def test_rows_are_on_the_disk_at_once_and_hold_no_bare_nan(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "one") as run:
        run.metrics.write(
            {"step": 1, "loss": math.nan, "values": [torch.tensor(1.5), numpy.float32(2)], "at": tmp_path}
        )
        run.metrics.write({"step": numpy.int64(2), "gain": -math.inf, "mask": torch.tensor([True, False])})
        rows = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
        run.samples.write({"text": "wörd\n"})
        run.evaluations.write({})
    assert rows == [
        {"step": 1, "loss": None, "values": [1.5, 2.0], "at": str(tmp_path)},
        {"step": 2, "gain": None, "mask": [True, False]},
    ]
    assert names(tmp_path / "one") == {"metrics.jsonl", "samples.jsonl", "eval.jsonl"}
    assert json.loads((tmp_path / "one" / "samples.jsonl").read_text()) == {"text": "wörd\n"}


def test_numbers_survive_exactly() -> None:
    for value in (0.1, 1e-300, 5e-324, 123456789.123456789, 2**70):
        assert json.loads(json.dumps(plain({"x": value}))) == {"x": value}
    with pytest.raises(TypeError, match="function"):
        plain({"f": plain})


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tgframe.errors import RunFolderError
from tgframe.runtime.files import JsonLines, write_json
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
write_json(folder / "result.json", {"old": True})
rows = JsonLines(folder / "rows.jsonl")
rows.write({"row": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
for write in (lambda: rows.write({"text": "x" * 9_000}), lambda: write_json(folder / "result.json", ["x" * 9_000])):
    try:
        write()
    except RunFolderError as error:
        print(error)
rows.write({"row": 2})
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_leaves_whole_files(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    messages = done.stdout.splitlines()
    assert len(messages) == 2
    assert "rows.jsonl' could not be written: File too large. Free space" in messages[0]
    assert (tmp_path / "rows.jsonl").read_text().splitlines() == ['{"row": 1}', '{"row": 2}']
    assert json.loads((tmp_path / "result.json").read_text()) == {"old": True}
    assert names(tmp_path) == {"rows.jsonl", "result.json"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_no_space_left_on_device() -> None:
    with pytest.raises(RunFolderError, match="No space left on device"):
        JsonLines(Path("/dev/full")).write({"row": 1})


def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"old": True})

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert names(tmp_path) == {"result.json"}


def test_checkpoints_come_in_order_of_steps(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "one") as run:
        for step in (100, 20, 3):
            write_checkpoint(run.checkpoint(step), {"part": step})
        (run.path / "checkpoints" / ".step-7.1.partial").mkdir()
        found = run.checkpoints()
    assert [path.name for path in found] == ["step-3", "step-20", "step-100"]
    assert checkpoints(tmp_path / "one") == found
    assert checkpoints(tmp_path / "nothing") == []


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path) as run:
        run.write_text("recipe.yaml", "")
        write_checkpoint(run.checkpoint(3), {"part": 1})
        left = run.checkpoints_folder / ".step-4.123.partial"
        left.mkdir()
        (left / "part.json").write_text("{", encoding="utf-8")
    with RunFolder.create(tmp_path, resume=True) as run:
        assert names(run.checkpoints_folder) == {"step-3"}
