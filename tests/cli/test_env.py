"""``tgframe env``."""

from __future__ import annotations

import platform


def test_tells_versions_devices_and_plugins(tgframe, broken_site):
    run = tgframe("env", PYTHONPATH=str(broken_site), HF_TOKEN="secret-token", TGFRAME_BLOCK="nothing")
    assert run.returncode == 0
    rows = dict(line.split(None, 1) for line in run.stdout.splitlines())
    assert rows["python"].startswith(platform.python_version())
    assert {"tgframe", "torch", "transformers", "datasets", "cpu"} <= rows.keys()
    assert "tgframe-wreck" in rows["broken"]
    assert rows["TGFRAME_BLOCK"] == "nothing"
    assert "secret" not in run.stdout
