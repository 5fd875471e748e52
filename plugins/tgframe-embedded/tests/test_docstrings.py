"""The data source: splits, draws, fingerprints, and what it says when rows are missing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tgframe import DataError
from tgframe_embedded import corpus, docstrings
from tgframe_embedded.docstrings import Docstrings
from tgframe_embedded.fingerprint import fingerprint
from tgframe_embedded.split import bucket

Rows = dict[str, list[dict[str, str]]]
SMALL = {"packages": ("networkx", "numpy"), "shots": 4, "test_rows": 20}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_default_task_is_balanced_and_large_enough(rows: Rows) -> None:
    counts = {split: Counter(row["label"] for row in part) for split, part in rows.items()}
    assert set(counts["test"].values()) == {200}
    assert set(counts["train"].values()) == set(counts["dev"].values()) == {16}
    assert all(len(found) == 5 for found in counts.values())


def test_rows_come_from_files_of_their_bucket(rows: Rows) -> None:
    for split, part in rows.items():
        for row in part:
            distribution, path, _ = row["id"].split(":")
            assert bucket(distribution, path) == split


def test_no_text_occurs_twice(rows: Rows) -> None:
    texts = [row["text"] for part in rows.values() for row in part]
    assert len(texts) == len(set(texts))


def test_texts_have_the_length_that_was_asked_for(rows: Rows) -> None:
    lengths = [len(row["text"].split()) for part in rows.values() for row in part]
    assert min(lengths) >= corpus.MIN_WORDS
    assert max(lengths) == 24


def test_equal_seeds_draw_equal_rows_and_others_do_not(cache: Path) -> None:
    first, again = (Docstrings(**SMALL, data_seed=1).rows(cache) for _ in range(2))
    other = Docstrings(**SMALL, data_seed=2).rows(cache)
    assert first == again
    assert first["train"] != other["train"]
    assert first["dev"] != other["dev"]
    assert first["test"] == other["test"]


def test_cached_rows_equal_read_rows(cache: Path) -> None:
    assert Docstrings(**SMALL).rows(cache) == Docstrings(**SMALL).rows(cache) == Docstrings(**SMALL).rows()


def test_a_torn_cache_is_read_anew(tmp_path: Path) -> None:
    whole = Docstrings(**SMALL).rows(tmp_path)
    (file,) = tmp_path.glob("docstrings-*.json")
    file.write_text(file.read_text()[:100])
    assert Docstrings(**SMALL).rows(tmp_path) == whole


def test_load_gives_datasets_fingerprint_and_versions(cache: Path) -> None:
    source = Docstrings(**SMALL)
    splits = source.load(SimpleNamespace(cache_dir=cache))
    assert {split: len(part) for split, part in splits.rows.items()} == {"train": 8, "dev": 8, "test": 20}
    assert splits.rows["test"].column_names == ["id", "text", "label"]
    assert splits.fingerprint == fingerprint(source.rows(cache))
    assert set(splits.provenance) == {"networkx", "numpy"}


def test_fingerprint_is_sha256_over_the_rows() -> None:
    rows = {"test": [{"b": 1, "a": "é"}], "dev": []}
    expected = hashlib.sha256(b"dev\ntest\n" + json.dumps({"a": "é", "b": 1}).encode() + b"\n").hexdigest()
    assert fingerprint(rows) == expected
    assert fingerprint({**rows, "dev": [{"a": 1}]}) != expected


def test_pairs_hold_body_and_summary(cache: Path) -> None:
    rows = Docstrings(**SMALL, form="pairs").rows(cache)
    for row in rows["test"]:
        assert list(row) == ["id", "source", "target", "label"]
        assert 20 <= len(row["target"]) <= 160
        assert len(row["source"].partition(": ")[2].split()) <= 120
        assert row["target"] not in row["source"]
        assert bucket(*row["id"].split(":")[:2]) == "test"


def test_names_stand_before_bodies_unless_they_are_not_wanted(cache: Path) -> None:
    named = Docstrings(**SMALL, form="pairs").rows(cache)
    bare = Docstrings(**SMALL, form="pairs", name=False).rows(cache)
    for split, rows in named.items():
        for row, other in zip(rows, bare[split], strict=True):
            name, _, body = row["source"].partition(": ")
            assert {**row, "source": body} == other
            assert name == name.lower()
            assert "_" not in name


def test_missing_package_is_told_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"'no-such-package' is not installed.*pip install no-such-package"):
        Docstrings(packages=("networkx", "no-such-package")).rows()


def test_package_without_python_source_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = SimpleNamespace(files=None, version="1.0")
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: stub)
    with pytest.raises(DataError, match="'networkx' lists none"):
        Docstrings(packages=("networkx", "numpy")).rows()


def test_too_few_rows_are_told_with_package_and_option(cache: Path) -> None:
    with pytest.raises(DataError, match=r"`shots` asks for 5000 train rows of every package, but 'networkx' has \d+"):
        Docstrings(packages=("networkx", "numpy"), shots=5000, test_rows=20).rows(cache)


@pytest.mark.parametrize("options", [{"packages": ("torch",)}, {"shots": 0}, {"max_words": 3}, {"form": "triples"}])
def test_impossible_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Docstrings(**options)


def test_texts_of_two_packages_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"networkx": ["both " * 12, "one " * 12], "numpy": ["both " * 12, "two " * 12, "two " * 12]}

    def documented(name: str, split: str, limit: int | None) -> list[tuple[None, list[docstrings.Row]]]:
        return [(None, [corpus.Docstring(f"{name}/a.py", 1, text.strip(), "") for text in found[name]])]

    monkeypatch.setattr(corpus, "documented", documented)
    kept = corpus.texts(("networkx", "numpy"), "test")
    assert sorted(row["text"].split()[0] for row in kept) == ["one", "two"]
