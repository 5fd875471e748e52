"""The page for plugin authors: every command on it is run, in order, and prints what the page says.

A block whose first line is ``# PATH`` is a file. The first one of a path must be what ``tgframe new`` wrote there, if
it did; any other is written there, as a reader would. ``console`` blocks hold commands after ``$ `` and what they
print, with ``…`` for anything; in a block marked ``console fails``, the first command fails.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

import tgframe
from tgframe.testing import PreferenceSourceContract

PAGE = Path(__file__).parents[2] / "plugins" / "README.md"
BLOCK = re.compile(r"^```(\w+)( fails)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIMS = {
    "tgframe": '-P -m tgframe "$@"',
    "pytest": '-P -m pytest "$@"',
    "pip": '-P -m pip "$1" --no-build-isolation --no-index --disable-pip-version-check "${@:2}"',
}
"""What a virtual environment has, and one without the network cannot: commands, and packages to be built with."""


@attrs.frozen
class Command:
    """A command of the page, what the page says of it, and what came of it."""

    line: str
    fails: bool
    expected: str
    status: int
    printed: str


@attrs.define
class Reader:
    """Somebody who reads the page from top to bottom and does what it says."""

    folder: Path
    environment: dict[str, str]
    commands: list[Command] = attrs.field(factory=list)
    shown: dict[str, tuple[str, str]] = attrs.field(factory=dict)
    """Path to what the page shows first, and what lay there."""

    def read(self, page: str) -> None:
        for language, fails, text in BLOCK.findall(page):
            named = re.match(r"# (\S+\.\w+)\n", text)
            if language == "console":
                self.type(text, bool(fails))
            elif named is not None:
                self.lay(named.group(1), text[named.end() :])

    def lay(self, name: str, text: str) -> None:
        path = self.folder / name
        if name not in self.shown and (here := self._beside(path)).exists():
            self.shown[name] = (text, here.read_text(encoding="utf-8"))
        else:
            self.shown.setdefault(name, (text, text))
            path.write_text(text, encoding="utf-8")

    def type(self, block: str, fails: bool) -> None:
        for number, part in enumerate(block.removeprefix("$ ").split("\n$ ")):
            line, _, expected = part.partition("\n")
            if line.startswith("cd "):
                self.folder = self.folder / line.removeprefix("cd ")
                continue
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
            )
            self.commands.append(Command(line, fails and number == 0, expected, done.returncode, done.stdout))

    def _beside(self, path: Path) -> Path:
        """Before the page enters the new folder, its files lie one level down."""
        return path if path.exists() else self.folder / "tgframe-politeness" / path.relative_to(self.folder)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Somebody who has read the page, in a virtual environment that sees what this one sees."""
    for package in ("tgframe_prompts", "tgframe_embedded", "tgframe_tlg"):
        pytest.importorskip(package)
    home = tmp_path_factory.mktemp("reader")
    somebody = Reader(home / "here", _environment(home / "venv"))
    somebody.folder.mkdir()
    somebody.read(PAGE.read_text(encoding="utf-8"))
    return somebody


def _environment(folder: Path) -> dict[str, str]:
    """Make a virtual environment on top of this one; return what a shell in which it is active has."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    ours = [str(Path(tgframe.__file__).parents[1]), *(path for path in sys.path if path.endswith("-packages"))]
    above = "".join(f"import site; site.addsitedir({path!r})\n" for path in dict.fromkeys(ours))
    (packages / "above.pth").write_text(above)
    for name, arguments in SHIMS.items():
        (folder / "bin" / name).write_text(f'#!/usr/bin/env bash\nexec "{folder}/bin/python" {arguments}\n')
        (folder / "bin" / name).chmod(0o755)
    # pytest prints whole lines where CI or BUILD_NUMBER is set; the page shows what a reader's terminal does.
    dropped = ("PYTHONPATH", "PYTHONHOME", "TGFRAME_BLOCK", "PYTEST_ADDOPTS", "VIRTUAL_ENV", "CI", "BUILD_NUMBER")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(("PIP_", "COV_"))
    }
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}


def test_every_command_does_what_the_page_says(reader: Reader) -> None:
    assert len(reader.commands) > 12
    for command in reader.commands:
        assert (command.status != 0) == command.fails, f"$ {command.line}\n{command.printed}"
        assert _fits(command.printed, command.expected), (
            f"$ {command.line}\nmust print\n{command.expected}\nbut prints\n{command.printed}"
        )


def test_files_are_shown_as_they_are_written(reader: Reader) -> None:
    generated = {name for name, (text, found) in reader.shown.items() if text is not found}
    assert generated == {"tgframe_politeness/__init__.py", "tgframe_politeness/source.py", "tests/test_contract.py"}
    for name, (text, found) in reader.shown.items():
        assert text == found, f"the page shows another {name}"


def test_the_policy_learns_the_rule(reader: Reader) -> None:
    rows = map(json.loads, (reader.folder / "runs" / "recipe-1" / "metrics.jsonl").read_text().splitlines())
    judged = [row["preference_mean"] for row in rows if row["phase"] == "improve"]
    assert len(judged) == 40
    assert sum(judged[:3]) / 3 < 0.15
    assert sum(judged[-3:]) / 3 > 0.4
    samples = (reader.folder / "runs" / "recipe-1" / "samples.jsonl").read_text().splitlines()
    texts = [completion["text"] for completion in json.loads(samples[-1])["completions"]]
    assert sum(text.split().count("the") > 1 for text in texts) > len(texts) / 2


def test_the_run_folder_names_the_plugin(reader: Reader) -> None:
    manifest = json.loads((reader.folder / "runs" / "recipe-1" / "manifest.json").read_text())
    judged_by = manifest["components"]["preference"]
    assert (judged_by["distribution"], judged_by["version"]) == ("tgframe-politeness", "0.1.0")


def test_the_page_explains_every_law() -> None:
    laws = {name.removeprefix("test_") for name in dir(PreferenceSourceContract) if name.startswith("test_")}
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == laws


@pytest.mark.parametrize(
    ("printed", "expected", "fits"),
    [
        ("one\ntwo\nthree\n", "one\n…\nthree", True),
        ("one\nthree\n", "one\n…\nthree", True),
        ("one\ntwo\n", "one\n", False),
        ("took 12 s in /there\n", "took … s in …", True),
        ("took 12\ns in\n", "took … s in", False),
        ("a.b\n", "a,b", False),
    ],
)
def test_what_fits(printed: str, expected: str, fits: bool) -> None:
    assert _fits(printed, expected) == fits


def _fits(printed: str, expected: str) -> bool:
    """Whether ``printed`` is what the page says: a line of ``…`` stands for any lines, inside a line for anything."""
    lines = [r"(?:.*\n)*?" if line == "…" else _pattern(line) + r"\n" for line in expected.strip("\n").split("\n")]
    pattern = "".join(lines) if expected.strip() else r"(?:.*\n)*"
    text = "".join(line.rstrip() + "\n" for line in printed.strip("\n").split("\n"))
    return re.fullmatch(pattern, text) is not None


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.rstrip().split("…")))
