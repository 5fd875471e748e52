"""Makes installed distributions out of nothing: a folder on sys.path with metadata, entry points and a module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("tlg", code, version="2.0")``: tgframe-tlg 2.0 with the module tgframe_test_tlg is plugin tlg."""
    from importlib.metadata import entry_points

    from tgframe.registry import manager

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = {point.value for point in entry_points(group="tgframe")}  # what happens to be installed here
    found = manager.discover
    monkeypatch.setattr(manager, "discover", lambda: [point for point in found() if point.value not in before])

    def install(
        name: str, code: str, version: str = "1.0", plugin: str | None = None, files: dict[str, str] | None = None
    ) -> None:
        module = f"tgframe_test_{name}"
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        for file, text in (files or {}).items():
            (site / file).write_text(text, encoding="utf-8")
        metadata = site / f"tgframe_{name}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tgframe-{name}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[tgframe]\n{plugin or name} = {module}\n")

    yield install
    for module in [module for module in sys.modules if module.startswith("tgframe_test_")]:
        del sys.modules[module]
