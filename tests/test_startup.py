"""What must stay light: importing tgframe, asking for help, listing plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "datasets", "accelerate", "numpy", "rich"}
ROOT = Path(__file__).parents[1]
CALL = """
import sys
sys.argv = ["tgframe", {arguments}]
from tgframe.__main__ import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print("MODULES", *sys.modules)
"""


def modules_after(code: str) -> set[str]:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("MODULES")]
    return set(line.split()[1:])


@pytest.mark.parametrize(
    "arguments", ['"--help"', '"plugins"', '"plugins", "--json"', '"check", "--help"', '"new", "--help"', '"--version"']
)
def test_commands_that_look_only_at_names_import_nothing_heavy(arguments):
    assert not HEAVY & modules_after(CALL.format(arguments=arguments))


def test_help_does_not_look_for_plugins():
    assert "tgframe.registry.manager" not in modules_after(CALL.format(arguments='"--help"'))


@pytest.mark.parametrize(
    "module",
    [
        "tgframe",
        "tgframe.builtin",
        "tgframe.errors",
        "tgframe.interfaces",
        "tgframe.recipe.load",
        "tgframe.registry.manager",
        "tgframe.testing.plugin",
    ],
)
def test_modules_that_import_nothing_heavy(module):
    assert not HEAVY & modules_after(f"import sys, {module}\nprint('MODULES', *sys.modules)")


def test_public_names_come_when_asked_for():
    names = "tgframe.hookimpl, tgframe.PreferenceSource, tgframe.RecipeError"
    assert not HEAVY & modules_after(f"import sys, tgframe\n{names}\nprint('MODULES', *sys.modules)")
