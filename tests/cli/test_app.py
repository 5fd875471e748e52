"""The frame of the command line: help, versions, mistakes in calling it."""

from __future__ import annotations

import importlib
import inspect

import pytest

from tgframe import __version__

COMMANDS = ("run", "check", "plugins", "show", "eval", "sample", "swap", "report", "new", "env")


def test_help_names_every_command(tgframe):
    run = tgframe("--help")
    assert run.returncode == 0
    assert all(f"\n  {command} " in run.stdout for command in COMMANDS)
    assert "╭" not in run.stdout
    assert "\x1b" not in run.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_a_file(command, tgframe):
    run = tgframe(command, "-h")
    assert run.returncode == 0
    assert f"Usage: python -m tgframe {command}" in run.stdout
    module = importlib.import_module(f"tgframe.cli.{command}")
    function = getattr(module, "evaluate" if command == "eval" else command)
    assert inspect.getdoc(function)


def test_version(tgframe):
    assert tgframe("--version").stdout == f"tgframe {__version__}\n"


def test_wrong_calls_exit_2(tgframe):
    run = tgframe("chekc")
    assert run.returncode == 2
    assert "No such command 'chekc'" in run.stderr
    assert tgframe("show", "sampler").returncode == 2
    assert tgframe("check").returncode == 2
