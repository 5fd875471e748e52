"""The command line in a process of its own, as people call it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Tgframe = Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "tests" / "recipe" / "parts.py"


@pytest.fixture
def tgframe(tmp_path: Path) -> Tgframe:
    """``tgframe("check", "recipe.yaml")`` runs the command in a fresh folder and returns the finished process."""

    def tgframe(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join(filter(None, [environment.pop("PYTHONPATH", ""), str(ROOT)]))
        return subprocess.run(
            [sys.executable, "-m", "tgframe", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return tgframe


@pytest.fixture
def parts() -> Path:
    """A plugin file with parts of every kind."""
    return PARTS


@pytest.fixture
def broken_site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH in which a distribution lies whose plugin cannot be imported."""
    site = tmp_path / "site"
    metadata = site / "tgframe_wreck-0.7.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tgframe-wreck\nVersion: 0.7\n")
    (metadata / "entry_points.txt").write_text("[tgframe]\nwreck = tgframe_wreck\n")
    (site / "tgframe_wreck.py").write_text("import not_there\n")
    return site
