"""``tgframe report``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.report.folders import write_run

CALL = """
import sys
sys.argv = ["tgframe", "report", sys.argv[1]]
from tgframe.__main__ import main
try:
    main()
except SystemExit as stop:
    print("EXIT", stop.code)
print("HEAVY", *sorted({"torch", "transformers", "datasets", "numpy"} & set(sys.modules)))
"""


def report(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CALL, str(folder)], capture_output=True, text=True, timeout=60)


def test_it_writes_the_page_and_says_where_without_torch(tmp_path: Path) -> None:
    done = report(write_run(tmp_path))
    assert f"report: {tmp_path / 'report.html'}\n" in done.stdout
    assert "HEAVY\n" in done.stdout
    assert (tmp_path / "report.html").is_file()


def test_a_folder_of_something_else_is_one_message(tmp_path: Path) -> None:
    done = report(tmp_path)
    assert "EXIT 1" in done.stdout
    assert done.stderr.startswith("error: ") or "must be a run folder or a swap folder" in done.stderr
    assert "Traceback" not in done.stderr
