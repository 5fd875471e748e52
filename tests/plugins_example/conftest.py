"""Three distributions, written down and installed as strangers would: one right, one that is broken, one sloppy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tgframe

BREVITY = {
    "pyproject.toml": """\
[project]
name = "tgframe-brevity"
version = "0.1.0"
dependencies = ["tgframe>=0.1"]
[project.entry-points.tgframe]
brevity = "tgframe_brevity"
""",
    "tgframe_brevity/__init__.py": """\
from tgframe import hookimpl

@hookimpl
def tgframe_register_preferences(register):
    register("brevity", "tgframe_brevity.source:Brevity")
""",
    "tgframe_brevity/source.py": '''\
import attrs
from tgframe import PreferenceSource, Preferences

@attrs.frozen
class Brevity(PreferenceSource):
    """Prefers completions with fewer words."""
    ceiling: int = attrs.field(default=50, validator=attrs.validators.gt(0))
    """Word count from which every completion is equally long."""

    def judge(self, rollouts):
        words = [[min(len(text.split()), self.ceiling) for text in group] for group in rollouts.texts]
        return Preferences.from_scores([[-count for count in group] for group in words])
''',
    "tests/test_contract.py": """\
from tgframe.testing import PreferenceSourceContract
from tgframe_brevity.source import Brevity

class TestBrevity(PreferenceSourceContract):
    def make(self):
        return Brevity()
""",
}

BROKEN = {
    "pyproject.toml": """\
[project]
name = "tgframe-gone"
version = "2.3.4"
[project.entry-points.tgframe]
gone = "tgframe_gone"
""",
    "tgframe_gone/__init__.py": "import a_module_that_nobody_has\n",
}

SLOPPY = {
    "pyproject.toml": """\
[project]
name = "tgframe-sloppy"
version = "0.0.1"
[project.entry-points.tgframe]
sloppy = "tgframe_sloppy"
""",
    "tgframe_sloppy/__init__.py": """\
import torch
from tgframe import hookimpl

@hookimpl
def tgframe_register_preferences(register):
    register("sloppy", "tgframe_sloppy.source:SomethingElse")
""",
    "tgframe_sloppy/source.py": BREVITY["tgframe_brevity/source.py"] + "\nclass SomethingElse(Brevity):\n    pass\n",
    "tests/test_contract.py": BREVITY["tests/test_contract.py"].replace("brevity", "sloppy"),
}

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def printed() -> dict[str, str]:
    """The files of the plugin that the documentation prints in full."""
    return BREVITY


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three distributions."""
    root = tmp_path_factory.mktemp("distributions")
    for name, files in {"brevity": BREVITY, "gone": BROKEN, "sloppy": SLOPPY}.items():
        for path, text in files.items():
            file = root / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return root


@pytest.fixture(scope="session")
def install(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that installs distributions with pip into a folder of their own, without a network."""

    def into_folder(*names: str) -> Path:
        target = tmp_path_factory.mktemp("installed")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        options = ["--no-deps", "--no-build-isolation", "--target", str(target)]
        done = subprocess.run(
            [*pip, *options, *(str(sources / name) for name in names)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return target

    return into_folder


@pytest.fixture(scope="session")
def python() -> Command:
    """Return a function that runs Python with a folder of installed plugins."""

    def run(installed: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        core = Path(tgframe.__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(core)]), "COLUMNS": "300"}
        environment.pop("TGFRAME_BLOCK", None)
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, cwd=cwd or installed, capture_output=True, text=True)

    return run
