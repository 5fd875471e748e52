"""``tgframe plugins``."""

from __future__ import annotations

import json

CLASH = """
from tgframe import hookimpl

@hookimpl
def tgframe_register_aggregators(register):
    register("mean", "not_there:X")
"""


def test_lists_what_is_installed_and_tells_what_is_broken(tgframe, broken_site):
    run = tgframe("plugins", PYTHONPATH=str(broken_site))
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[0].startswith("tgframe  (tgframe 0.")
    assert any(line.split() == ["aggregator", "sum,", "mean"] for line in lines)
    (broken,) = [line for line in lines if line.startswith("broken: ") and "wreck" in line]
    assert broken.startswith("broken: plugin 'wreck' (tgframe-wreck 0.7) could not be loaded: ModuleNotFoundError")
    assert "`pip uninstall tgframe-wreck`" in broken


def test_as_json(tgframe, broken_site):
    found = json.loads(tgframe("plugins", "--json", PYTHONPATH=str(broken_site)).stdout)
    core = found["plugins"][0]
    assert (core["name"], core["distribution"]) == ("tgframe", "tgframe")
    assert {"kind": "sampler", "name": "top-k", "target": "tgframe.builtin.samplers:TopK"} in core["components"]
    assert "tgframe_register_samplers" in core["hooks"]
    assert ("wreck", "tgframe-wreck", "0.7") in [
        (one["name"], one["distribution"], one["version"]) for one in found["broken"]
    ]
    assert found["clashes"] == []


def test_blocked_plugins_are_named(tgframe, broken_site):
    run = tgframe("plugins", PYTHONPATH=str(broken_site), TGFRAME_BLOCK="wreck")
    assert "blocked: wreck" in run.stdout.splitlines()
    assert "tgframe-wreck" not in run.stdout


def test_check_imports_everything(tgframe, parts):
    run = tgframe("plugins", "--check", "--plugin", parts)
    assert run.returncode == 1
    (unusable,) = [line for line in run.stdout.splitlines() if "'gone'" in line and line.startswith("unusable: ")]
    assert "aggregator 'gone' of plugin 'parts'" in unusable
    assert run.stderr == "Some plugins are broken.\n"


def test_a_clash_is_told_and_stops_nothing(tgframe, tmp_path):
    (tmp_path / "clash.py").write_text(CLASH)
    run = tgframe("plugins", "--plugin", "clash.py")
    assert run.returncode == 0
    (clash,) = [line for line in run.stdout.splitlines() if line.startswith("clash: ")]
    assert "provided twice: by plugin 'tgframe' (tgframe 0." in clash
    assert "plugin 'clash' (clash.py sha256 " in clash
    assert tgframe("plugins", "--check", "--plugin", "clash.py").returncode == 1
