"""Warnings on the command line: those for people are read as sentences, those about code say where."""

from __future__ import annotations

import sys
import warnings

import pytest

from tgframe import TgframeWarning
from tgframe.__main__ import main


@pytest.fixture(autouse=True)
def command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # put back in the end
    monkeypatch.setattr(sys, "argv", ["tgframe", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_a_warning_for_people_is_its_message() -> None:
    told = warnings.formatwarning(TgframeWarning("A source loses its end."), TgframeWarning, "reading.py", 86)
    assert told == "Warning: A source loses its end.\n"


def test_a_warning_about_code_says_where() -> None:
    told = warnings.formatwarning("invalid value", RuntimeWarning, "losses.py", 12)
    assert told == "losses.py:12: RuntimeWarning: invalid value\n"
