"""What ``tgframe new`` writes works at once: installed, found, described, green under its own tests, and clean."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tgframe.interfaces import INTERFACE_VERSION
from tgframe.recipe.options import options
from tgframe.registry.registry import import_address
from tgframe.scaffold.kinds import KINDS
from tgframe.scaffold.name import LONGEST, Name
from tgframe.scaffold.render import render

Python = Callable[..., Any]

ROOT = Path(__file__).parents[2]
LOOK = """
from tgframe.cli.plugins import plugins
from tgframe.cli.show import show
plugins(as_json=False, check=True, plugin_files=())
for kind in {kinds}:
    show(kind, f"small-{{kind}}", ())
"""
SETTINGS = """
[mypy]
strict = True
disallow_subclassing_any = False
disallow_untyped_decorators = False
warn_return_any = False
[mypy-tgframe.*]
follow_imports = silent
[mypy-tgframe.compose,tgframe.finished,tgframe.engine.*,torch.*,transformers.*,numpy.*]
follow_imports = skip
"""
"""Strict, but for what comes of leaving torch out: with it, this takes half a minute."""


def test_its_own_tests_pass(python: Python, written: Path, installed: Path) -> None:
    tests = [written / f"tgframe-small-{kind}" / "tests" for kind in KINDS]
    options = ["-q", "-rs", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = python("-m", "pytest", *options, *tests, cwd=written, path=(installed,))
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed.group(1)) > 15 * len(KINDS)
    assert "not an installed plugin" not in done.stdout, "an installed plugin has its registration tested"
    assert "missing() returns None" not in done.stdout, "the preference shows how a missing judgment is tested"


def test_they_are_found_and_described_and_none_is_broken(python: Python, written: Path, installed: Path) -> None:
    done = python("-c", LOOK.format(kinds=list(KINDS)), cwd=written, path=(installed,))
    assert (done.returncode, done.stderr) == (0, "")
    for kind in KINDS.values():
        name = f"small-{kind.name}"
        assert re.search(rf"^{name}  \(tgframe-{name} 0.1.0\)\n  {kind.name} +{name}$", done.stdout, re.M)
        [shown] = re.findall(rf"^{kind.name} {name}  .*?^options$.*?(?=^\w+ small-|\Z)", done.stdout, re.M | re.S)
        assert kind.does in shown
        option = kind.option.partition(":")[0]
        assert re.search(rf"^  {option}: .*, default .*\n +\S", shown, re.M), f"{option} has neither default nor text"


@pytest.mark.parametrize("kind", KINDS)
def test_the_option_is_validated(kind: str, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    component = import_address(_target(installed, kind))
    for option in options(component):
        below = {"words": (), "openings": ("one", "two")}.get(option.name, -1)
        with pytest.raises(ValueError, match=option.name):
            component(**{option.name: below})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("component", ["x", "a-b-c-1", "n" * LONGEST])
def test_every_name_gives_clean_code(kind: str, component: str, tmp_path: Path, python: Python) -> None:
    _write(render(KINDS[kind], Name(component)), tmp_path)
    for command in (["check"], ["format", "--check"]):
        done = python("-m", "ruff", *command, "--no-cache", "--config", ROOT / "pyproject.toml", ".", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_types_are_right(written: Path, python: Python, tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    packages = [written / f"tgframe-small-{kind}" / f"tgframe_small_{kind}" for kind in KINDS]
    command = ["-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache"]
    done = python(*command, *packages, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (packages[0] / "wrong.py").write_text("def wrong() -> int:\n    return 'text'\n")
    assert python(*command, *packages, cwd=tmp_path).returncode == 1
    (packages[0] / "wrong.py").unlink()


def test_dependencies_are_those_of_tgframe() -> None:
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for kind in KINDS.values():
        files = render(kind, Name("x"))
        project = tomllib.loads(files["pyproject.toml"])["project"]
        release = ours["version"].rpartition(".")[0]
        assert project["dependencies"][0] == f"tgframe>={release}"
        assert set(project["dependencies"][1:]) <= set(ours["dependencies"])
        assert project["optional-dependencies"] == {"test": ["tgframe[testing]"]}
        assert project["requires-python"] == ours["requires-python"]
        assert project["entry-points"] == {"tgframe": {"x": "tgframe_x"}}
        imports = set(re.findall(r"^(?:import|from) (\w+)", "\n".join(_code(files)), re.M))
        named = {re.split(r"\W", wanted)[0] for wanted in project["dependencies"]}
        assert imports & {"tgframe", "attrs", "torch", "transformers"} == named
        assert imports <= named | sys.stdlib_module_names | {"__future__", "tgframe_x"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_made_for_this_interface(kind: str) -> None:
    assert f"TGFRAME_INTERFACE = {INTERFACE_VERSION}\n" in render(KINDS[kind], Name("x"))["tgframe_x/__init__.py"]


@pytest.mark.parametrize("kind", KINDS)
def test_its_page_shows_an_option_in_a_recipe(kind: str, written: Path) -> None:
    page = (written / f"tgframe-small-{kind}" / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    [(key, value)] = YAML(typ="safe").load(StringIO(block)).items()
    assert (key, value.pop("type")) == (kind, f"small-{kind}")
    assert len(value) == 1
    assert all(heading in page for heading in ("## Install", "## Use", "## Test", "## Publish"))


def _target(installed: Path, kind: str) -> str:
    hook = (installed / f"tgframe_small_{kind}" / "__init__.py").read_text()
    [target] = re.findall(r'"(tgframe_small_\w+\.\w+:\w+)"', hook)
    return target


def _code(files: dict[str, str]) -> list[str]:
    return [text for path, text in files.items() if path.startswith("tgframe_") and path.endswith(".py")]


def _write(files: dict[str, str], folder: Path) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
