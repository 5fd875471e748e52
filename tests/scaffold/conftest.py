"""One plugin of every kind, as ``tgframe new`` writes it, installed as a stranger would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tgframe.cli.new import new
from tgframe.scaffold.kinds import KINDS

ROOT = Path(__file__).parents[2]
Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def python() -> Python:
    """Return a function that runs Python in a folder, with further folders on its path."""

    def run(*arguments: object, cwd: Path, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT))), "COLUMNS": "400"}
        environment |= {"OMP_NUM_THREADS": "1"}
        environment.pop("TGFRAME_BLOCK", None)
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a distribution of every kind: ``tgframe-small-sampler`` is the sampler."""
    folder = tmp_path_factory.mktemp("written")
    for kind in KINDS:
        new(kind, f"small-{kind}", folder)
    return folder


@pytest.fixture(scope="session")
def installed(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed all of them, without a network."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(target)]
    done = subprocess.run([*pip, *options, *map(str, written.iterdir())], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target
