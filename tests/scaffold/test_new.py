"""``tgframe new``: what it prints, what it refuses, and that it writes all or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tgframe.cli.new import new
from tgframe.errors import PluginError
from tgframe.scaffold.kinds import KINDS
from tgframe.scaffold.name import LONGEST, Name, parse_name
from tgframe.scaffold.render import render

Python = Callable[..., Any]

POLITENESS = """\
tgframe-politeness: a preference source, with its tests

  tgframe-politeness/.gitignore
  tgframe-politeness/README.md
  tgframe-politeness/pyproject.toml
  tgframe-politeness/recipe.yaml
  tgframe-politeness/tests/test_contract.py
  tgframe-politeness/tgframe_politeness/__init__.py
  tgframe-politeness/tgframe_politeness/py.typed
  tgframe-politeness/tgframe_politeness/source.py

Next:

  cd tgframe-politeness
  pip install -e '.[test]'
  pytest
"""
HEAVY = """
import sys
sys.argv = ["tgframe", *{arguments}]
from tgframe.__main__ import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
print(*sorted({{"torch", "transformers", "datasets", "numpy", "rich"}} & set(sys.modules)), file=sys.stderr)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_prints_what_it_wrote_and_what_to_type(python: Python, tmp_path: Path) -> None:
    done = python("-m", "tgframe", "new", "preference", "politeness", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, POLITENESS, "")
    assert [f"  {name}" for name in files(tmp_path)] == [line for line in POLITENESS.splitlines() if "/" in line]


@pytest.mark.parametrize("arguments", [["new", "task", "openings"], ["new", "--help"], ["--help"]])
def test_it_imports_nothing_heavy(python: Python, tmp_path: Path, arguments: list[str]) -> None:
    done = python("-c", HEAVY.format(arguments=arguments), cwd=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "openings" in done.stdout or " new " in done.stdout


def test_into_another_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new("sampler", "min-p", Path("my plugins") / "new")
    assert "\n  cd 'my plugins/new/tgframe-min-p'\n" in capsys.readouterr().out
    assert (here / "my plugins/new/tgframe-min-p/tgframe_min_p/sampler.py").is_file()


def test_an_empty_folder_is_filled(here: Path) -> None:
    (here / "tgframe-min-p").mkdir()
    new("sampler", "min-p", Path())
    assert (here / "tgframe-min-p" / "pyproject.toml").is_file()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_are_the_users_own(here: Path) -> None:
    new("sampler", "min-p", Path())
    (here / "mkdir").mkdir()
    assert (here / "tgframe-min-p").stat().st_mode == (here / "mkdir").stat().st_mode


@pytest.mark.parametrize("typed", ["soft-vote2", "tgframe-soft-vote2"])
def test_one_name_in_every_place(typed: str) -> None:
    name = parse_name(typed)
    assert (name.component, name.distribution) == ("soft-vote2", "tgframe-soft-vote2")
    assert (name.package, name.class_name) == ("tgframe_soft_vote2", "SoftVote2")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Politeness", "but is 'Politeness' instead. Try 'politeness'."),
        ("soft_vote", "but is 'soft_vote' instead. Try 'soft-vote'."),
        ("2d", "but is '2d' instead. Try 'd'."),
        ("a--b", "Try 'a-b'."),
        ("-", "but is '-' instead."),
        ("tgframe-", "but is 'tgframe-' instead."),
        ("höflich", "Try 'h-flich'."),
        ("../up", "Try 'up'."),
        ("polite\n", "Try 'polite'."),
        (
            "n" * (LONGEST + 1),
            f"at most {LONGEST} characters, but 'nnnnnnnnnnnnnnnnnnnnnnnnn' has {LONGEST + 1} instead.",
        ),
        ("class", "must not be a word of Python, but is 'class' instead. Choose another, such as 'my-class'."),
        ("none", "must not be a word of Python, but is 'none' instead."),
        ("warning", "must not be a word of Python, but is 'warning' instead."),
        (
            "rollouts",
            "the class 'Rollouts' would hide another that its code imports. Choose another, such as 'my-rollouts'.",
        ),
        ("preference-source", "the class 'PreferenceSource' would hide"),
        ("callable", "the class 'Callable' would hide"),
        ("tgframe", "There is a plugin 'tgframe' already: see `tgframe plugins`."),
    ],
)
def test_names_that_cannot_be(here: Path, name: str, told: str) -> None:
    with pytest.raises(PluginError) as raised:
        new("preference", name, Path())
    assert told in str(raised.value)
    assert "\n" not in str(raised.value).replace(name, "")
    assert list(here.iterdir()) == []


def test_every_name_that_the_code_imports_is_refused() -> None:
    for kind, imported in {
        "sampler": "Tensor",
        "guidance": "Step",
        "task": "Evaluation",
        "objective": "Mapping",
    }.items():
        with pytest.raises(PluginError, match=f"the class '{imported}' would hide"):
            render(KINDS[kind], Name(imported.lower()))


def test_names_that_are_taken(here: Path, written: Path, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    owner = r"plugin 'small-sampler' \(tgframe-small-sampler 0.1.0\)"
    with pytest.raises(
        PluginError, match=f"There is a sampler 'small-sampler' already: of {owner}. Choose another name"
    ):
        new("sampler", "tgframe-small-sampler", Path())
    with pytest.raises(PluginError, match="There is a plugin 'small-sampler' already"):
        new("task", "small-sampler", Path())
    monkeypatch.setenv("TGFRAME_BLOCK", "small-sampler")
    with pytest.raises(PluginError, match="There is a plugin 'small-sampler' already"):
        new("sampler", "small-sampler", Path())
    with pytest.raises(PluginError, match="There is a sampler 'top-k' already: of plugin 'tgframe'"):
        new("sampler", "top-k", Path())
    assert list(here.iterdir()) == []
    new("aggregator", "top-k", Path())
    assert [path.name for path in here.iterdir()] == ["tgframe-top-k"]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            "preferense",
            "There is no template of a 'preferense'. Did you mean 'preference'? Templates: preference, sampler",
        ),
        ("policy", "There is no template of a 'policy'."),
        ("../preference", "There is no template of a '../preference'."),
    ],
)
def test_kinds_that_have_no_template(python: Python, tmp_path: Path, kind: str, told: str) -> None:
    done = python("-m", "tgframe", "new", kind, "politeness", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["a file", "a folder"])
def test_what_is_there_is_left_alone(here: Path, inside: str) -> None:
    target = here / "tgframe-politeness"
    if inside == "a folder":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        target.write_text("mine")
    before = files(here)
    with pytest.raises(PluginError, match=r"'tgframe-politeness' must be a new or empty folder.*`--into`"):
        new("preference", "politeness", Path())
    assert files(here) == before


def test_a_folder_that_cannot_be_is_told(here: Path) -> None:
    (here / "file").write_text("")
    with pytest.raises(PluginError, match=r"must be a folder that can be written, but is not: .*`--into`"):
        new("preference", "politeness", Path("file"))
    assert files(here) == ["file"]


def test_all_is_written_or_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text, seen = Path.write_text, []

    def until_the_disk_is_full(self: Path, *arguments: Any, **options: Any) -> int:
        seen.append(self)
        if len(seen) == 5:
            raise OSError(28, "No space left on device")
        return write_text(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", until_the_disk_is_full)
    with pytest.raises(PluginError, match="No space left on device"):
        new("preference", "politeness", Path())
    assert len(seen) == 5
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_open(kind: str) -> None:
    for path, text in render(KINDS[kind], Name("soft-vote")).items():
        assert "$" not in path + text
        assert not text or text.endswith("\n")
        assert not any(line != line.rstrip() for line in text.splitlines())
