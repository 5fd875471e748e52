"""``tgframe new`` from a wheel: the templates travel as package data, unpacked or not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tgframe.scaffold.kinds import KINDS
from tgframe.scaffold.name import Name
from tgframe.scaffold.render import render

Python = Callable[..., Any]

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
NEW = """
import sys
import tgframe.scaffold
from tgframe.__main__ import main
print(tgframe.scaffold.__file__)
for kind in {kinds}:
    sys.argv = ["tgframe", "new", kind, f"from-{{kind}}"]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of tgframe, built from a copy, so that no build folder appears in the checkout."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "tgframe", source / "tgframe", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*PIP, "wheel", *options, "--wheel-dir", "dist", "."], cwd=source, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [built] = (source / "dist").iterdir()
    return built


@pytest.mark.parametrize("unpacked", [True, False])
def test_it_writes_the_same_from_a_wheel(wheel: Path, unpacked: bool, python: Python, tmp_path: Path) -> None:
    place = wheel
    if unpacked:
        place = tmp_path / "site"
        options = ["--quiet", "--no-index", "--no-deps", "--target", str(place)]
        subprocess.run([*PIP, "install", *options, str(wheel)], check=True, capture_output=True)
    here = tmp_path / "here"
    here.mkdir()
    done = python("-c", NEW.format(kinds=list(KINDS)), cwd=here, path=(place,))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(place))
    for kind in KINDS.values():
        folder = here / f"tgframe-from-{kind.name}"
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        texts = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
        assert texts == render(kind, Name(f"from-{kind.name}"))
