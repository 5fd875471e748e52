"""A few texts with summaries, as files, and the task over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tgframe.builtin.data import Files
from tgframe.builtin.samplers import Greedy
from tgframe.testing import make_context
from tgframe_summarization.task import Summarization

Rows = Iterable[dict[str, Any]]

TRAIN = (
    {"source": "The cat sat on the mat. It slept.", "targets": ["a cat sleeps", "the cat sat"], "number": 0},
    {"source": "Dogs bark at night. Nobody knows why.", "targets": ["dogs bark"], "number": 1},
    {
        "source": "Une théière naïve ☕. Elle chante.",
        "targets": ["une théière ☕", "elle chante", "théière"],
        "number": 2,
    },
    {"source": "It rains. It pours. The old man snores.", "targets": ["it rains"], "number": 3},
)
DEV = ({"source": "Birds sing at dawn. We listen.", "targets": ["birds sing"], "number": 4},)
TEST = (
    {"source": "A mouse ran up the clock. It struck one.", "targets": ["the mouse ran up", "a clock"], "number": 5},
    {"source": "Rain falls mainly on the plain.", "targets": ["rain falls"], "number": 6},
    {"source": "猫が好き。犬も好き。", "targets": ["猫が好き"], "number": 7},
)


def write(file: Path, rows: Rows) -> Path:
    """Write JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def options(
    folder: Path, train: Rows = TRAIN, dev: Rows | None = DEV, test: Rows | None = TEST, **more: Any
) -> Summarization:
    """Return the task's options over files in ``folder``."""
    files = {"train": train, "dev": dev, "test": test}
    data = Files(**{name: write(folder / f"{name}.jsonl", rows) for name, rows in files.items() if rows is not None})
    return Summarization(data=data, **{"decode": Greedy(8), **more})


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Summarization]:
    """Return :func:`options`, in a folder of the test's own."""
    return lambda *rows, **more: options(tmp_path, *rows, **more)


@pytest.fixture
def build(tmp_path: Path, make: Callable[..., Summarization]) -> Callable[..., Any]:
    """Return a function that builds the task."""
    return lambda *rows, **more: make(*rows, **more).build(make_context(cache_dir=tmp_path / "cache"))
