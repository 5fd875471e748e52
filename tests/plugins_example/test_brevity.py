"""The plugin that the documentation prints in full: installed with pip, found, shown, tested; a broken one beside."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def installed(install: Callable[..., Path]) -> Path:
    """A folder in which a working plugin and a broken one are installed."""
    return install("brevity", "gone")


def test_plugins_lists_it_and_tells_of_the_broken_one(python: Command, installed: Path) -> None:
    done = python(installed, "-m", "tgframe", "plugins")
    assert done.returncode == 0, done.stderr
    assert "brevity  (tgframe-brevity 0.1.0)" in done.stdout
    assert "preference  brevity" in done.stdout
    [told] = [line for line in done.stdout.splitlines() if line.startswith("broken:")]
    for part in ("gone", "tgframe-gone", "2.3.4", "a_module_that_nobody_has", "pip install -U tgframe-gone"):
        assert part in told, f"{part!r} is not in {told!r}"


def test_the_same_as_json(python: Command, installed: Path) -> None:
    found = json.loads(python(installed, "-m", "tgframe", "plugins", "--json").stdout)
    [brevity] = [plugin for plugin in found["plugins"] if plugin["name"] == "brevity"]
    assert (brevity["distribution"], brevity["version"]) == ("tgframe-brevity", "0.1.0")
    assert brevity["components"] == [
        {"kind": "preference", "name": "brevity", "target": "tgframe_brevity.source:Brevity"}
    ]
    [broken] = found["broken"]
    assert (broken["name"], broken["distribution"], broken["version"]) == ("gone", "tgframe-gone", "2.3.4")


def test_checking_all_plugins_fails_with_the_broken_one(python: Command, installed: Path) -> None:
    done = python(installed, "-m", "tgframe", "plugins", "--check")
    assert done.returncode == 1
    assert "tgframe-gone" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_show_tells_its_options(python: Command, installed: Path) -> None:
    done = python(installed, "-m", "tgframe", "show", "preference", "brevity")
    assert done.returncode == 0, done.stderr
    for part in ("tgframe-brevity 0.1.0", "Prefers completions with fewer words.", "ceiling", "50"):
        assert part in done.stdout
    assert "Word count from which every completion is equally long." in done.stdout


def test_a_name_that_the_broken_plugin_might_have_is_told_so(python: Command, installed: Path) -> None:
    done = python(installed, "-m", "tgframe", "show", "preference", "brevty")
    assert done.returncode == 1
    assert "Did you mean 'brevity'?" in done.stderr
    assert "tgframe-gone" in done.stderr
    assert "Traceback" not in done.stderr


def test_its_contract_passes_beside_the_broken_one(python: Command, installed: Path, sources: Path) -> None:
    done = python(installed, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests", cwd=sources / "brevity")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "not an installed plugin" not in done.stdout, "an installed plugin has its registration tested"


def test_the_readme_prints_this_very_plugin(printed: dict[str, str]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    meanings = [meaning(block) for block in blocks if "[project" not in block]
    for name, text in printed.items():
        if name.endswith(".py"):
            assert meaning(text) in meanings, f"the README does not print {name} as it is tested here"
    [project] = [tomllib.loads(block) for block in blocks if "[project" in block]
    tested = tomllib.loads(printed["pyproject.toml"])
    assert project["project"]["entry-points"] == tested["project"]["entry-points"]


def meaning(code: str) -> str:
    """Return what code says, layout, comments and order of imported names apart."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            node.names.sort(key=lambda alias: alias.name)
    return ast.dump(tree)


def test_a_plugin_that_registers_badly_breaks_those_laws(
    python: Command, install: Callable[..., Path], sources: Path
) -> None:
    installed = install("sloppy")
    done = python(installed, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "tests", cwd=sources / "sloppy")
    failed = {line.split("::")[2].partition(" ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {"test_is_registered_where_it_is_installed", "test_registering_imports_no_torch"}, done.stdout
