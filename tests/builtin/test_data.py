"""Rows from files and from the hub's layout, and what is said of bad ones."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tgframe.builtin.data import Files, Hub, fingerprint
from tgframe.errors import DataError
from tgframe.testing import make_context

ROWS = [{"text": "NA", "label": 1}, {"text": "zwei, drei", "label": 2}]
JSONL = '{"text": "NA", "label": 1}\n{"text": "zwei, drei", "label": 2}\n'
CSV = 'text,label\nNA,1\n"zwei, drei",2\n'


@pytest.fixture
def context(tmp_path: Path) -> Any:
    return make_context(cache_dir=tmp_path / "cache")


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", JSONL),
        ("rows.v2.jsonl.gz", JSONL),
        ("rows.json", f"[{JSONL.strip().replace(chr(10), ',')}]"),
        ("rows.csv", CSV),
        ("rows.csv.gz", CSV),
        ("rows.tsv", "text\tlabel\nNA\t1\nzwei, drei\t2\n"),
    ],
)
def test_files_of_every_kind(tmp_path: Path, context: Any, name: str, text: str) -> None:
    splits = Files(write(tmp_path / name, text)).load(context)
    assert splits.rows.keys() == {"train"}
    assert splits.rows["train"].to_list() == ROWS
    assert splits.provenance == {"train": str(tmp_path / name)}
    # What was read, not how it was written, makes the fingerprint.
    read = 'train\n{"label": 1, "text": "NA"}\n{"label": 2, "text": "zwei, drei"}\n'
    assert splits.fingerprint == hashlib.sha256(read.encode()).hexdigest()


def test_parquet(tmp_path: Path, context: Any) -> None:
    import datasets

    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "rows.parquet")
    assert Files(tmp_path / "rows.parquet").load(context).rows["train"].to_list() == ROWS


def test_splits_and_fingerprints(tmp_path: Path, context: Any) -> None:
    one, two = write(tmp_path / "one.jsonl", JSONL), write(tmp_path / "two.jsonl", '{"text": "x", "label": 3}\n')
    both = Files(one, test=two).load(context)
    assert {split: len(rows) for split, rows in both.rows.items()} == {"train": 2, "test": 1}
    prints = [files.load(context).fingerprint for files in (Files(one, test=two), Files(one, dev=two), Files(two, one))]
    assert prints[0] == both.fingerprint
    assert len({*prints}) == 3
    rows = both.rows["train"]
    assert fingerprint({"train": rows}) != fingerprint({"train": rows.select([1, 0])})


def test_a_changed_file_is_read_again(tmp_path: Path, context: Any) -> None:
    path = write(tmp_path / "rows.jsonl", JSONL)
    before = Files(path).load(context)
    write(path, JSONL.replace("1", "7"))
    after = Files(path).load(context)
    assert after.rows["train"]["label"][0] == 7
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.jsonl", '{"text": "a"}\n{"text":\n', r"rows\.jsonl:2: must be a JSON object, but Expecting value"),
        ("rows.jsonl", "", "has no rows"),
        ("rows.csv", "text,label\na,1\nb,2,3\n", r"rows\.csv: cannot be read as csv: .*line 3"),
        ("rows.csv", "text,label\n", "has no rows"),
        ("rows.parquet", "no parquet", r"rows\.parquet: cannot be read as parquet"),
        ("rows.txt", "a", r"must end in \.jsonl, .* but ends in '\.txt'"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, context: Any, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Files(write(tmp_path / name, text)).load(context)


def test_a_missing_file_is_told(tmp_path: Path, context: Any) -> None:
    with pytest.raises(DataError, match=r"no file '.*rows\.jsonl'"):
        Files(tmp_path / "rows.jsonl").load(context)


def test_bad_files_make_no_noise(tmp_path: Path, context: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError):
        Files(write(tmp_path / "rows.csv", "text,label\na,1\nb,2,3\n")).load(context)
    captured = capfd.readouterr()
    assert captured.err == captured.out == ""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in the layout of the hub, with two splits."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub-cache")
    folder = tmp_path / "hub"
    folder.mkdir()
    write(folder / "train.jsonl", JSONL * 2)
    write(folder / "test.jsonl", JSONL)
    return str(folder)


def test_hub_splits_are_named(hub: str, context: Any) -> None:
    splits = Hub(hub, train="train[:75%]", dev=None).load(context)
    assert splits.rows["train"].to_list() == [*ROWS, ROWS[0]]
    assert splits.rows["test"].to_list() == ROWS
    assert splits.provenance == {"dataset": hub, "config": "", "revision": ""}


def test_a_split_that_is_not_there_is_told(hub: str, context: Any) -> None:
    with pytest.raises(DataError, match=r"Split 'validation' .*\['(test', 'train|train', 'test)'\]"):
        Hub(hub).load(context)


def test_a_data_set_that_is_not_there_is_told(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"'no/such-data' could not be loaded: .* Check name"):
        Hub("no/such-data").load(context)


def test_a_draw_stands_in_the_paths(tmp_path: Path, context: Any) -> None:
    for draw in (13, 42):
        (tmp_path / f"draw-{draw}").mkdir()
        write(tmp_path / f"draw-{draw}" / "train.jsonl", f'{{"text": "of {draw}"}}\n')
    files = Files(tmp_path / "draw-{draw}" / "train.jsonl", draw=42)
    splits = files.load(context)
    assert splits.rows["train"].to_list() == [{"text": "of 42"}]
    assert splits.provenance == {"train": str(tmp_path / "draw-42" / "train.jsonl")}


@pytest.mark.parametrize(("path", "draw", "why"), [("a.csv", 3, "no path has it"), ("{draw}.csv", None, "is null")])
def test_a_draw_without_its_place_is_refused(path: str, draw: int | None, why: str) -> None:
    with pytest.raises(ValueError, match=rf"`draw` must be given where a path has '{{draw}}', and only there: .*{why}"):
        Files(Path(path), draw=draw)
