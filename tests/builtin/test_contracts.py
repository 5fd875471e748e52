"""Rows from files and from the hub's layout keep to the laws of data sources."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tgframe.builtin.data import Files, Hub
from tgframe.testing import DataSourceContract


def written(path: Path, *texts: str) -> Path:
    """Write a file of JSON lines, one a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, "label": len(text)}) + "\n" for text in texts))
    return path


class TestFiles(DataSourceContract):
    def make(self) -> Files:
        return Files(self.train, test=self.test)

    def other(self) -> Files:
        return Files(self.test, test=self.train)

    def absent(self) -> tuple[Files, str]:
        return Files(self.folder / "nothing.jsonl"), "nothing.jsonl"

    @pytest.fixture(autouse=True)
    def _rows(self, tmp_path: Path) -> None:
        self.train = written(tmp_path / "rows" / "train.jsonl", "one", "NA", "zwei, drei")
        self.test = written(tmp_path / "rows" / "test.jsonl", "four", "naïve ☕")


class TestHub(DataSourceContract):
    def make(self) -> Hub:
        return Hub(self.name, dev=None)

    def other(self) -> Hub:
        return Hub(self.name, train="train[:50%]", dev=None)

    def absent(self) -> tuple[Hub, str]:
        return Hub(self.name), "validation"

    @pytest.fixture(autouse=True)
    def _data_set(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub-cache")
        self.name = str(tmp_path / "hub")
        written(tmp_path / "hub" / "train.jsonl", "one", "two", "three", "four")
        written(tmp_path / "hub" / "test.jsonl", "five")
