"""Which rows a page shows: few, evenly over time, with the extremes, and it says how many."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from tests.report.folders import completion, group, sample, write_rows, write_run
from tests.report.parsed import page_of
from tgframe.report.choose import BEST, ROWS, WORST, best_places, choose
from tgframe.report.completions import CHARACTERS, TOKENS
from tgframe.report.index import index_samples

LIMIT = 5_000_000


def places_of(path: Path, preferences: list[float | None]) -> list[int]:
    rows = [sample(completion(preference=value), step=step) for step, value in enumerate(preferences)]
    write_rows(path, rows)
    return list(choose(index_samples(path)).rows)


def test_few_rows_are_all_shown(tmp_path: Path) -> None:
    assert places_of(tmp_path / "samples.jsonl", [None] * ROWS) == list(range(ROWS))
    assert "All 3 rows of samples.jsonl." in page_of(write_run(tmp_path)).text


def test_many_rows_are_shown_evenly(tmp_path: Path) -> None:
    places = places_of(tmp_path / "samples.jsonl", [None] * 1000)
    assert len(places) == ROWS
    assert places[0] == 0
    assert places[-1] == 999
    assert max(later - earlier for earlier, later in pairwise(places)) < 2 * 1000 / ROWS


def test_the_best_and_the_worst_are_among_them(tmp_path: Path) -> None:
    preferences: list[float | None] = [float((37 * index) % 1000) for index in range(1000)]
    places = places_of(tmp_path / "samples.jsonl", preferences)
    ordered = sorted(range(1000), key=lambda place: preferences[place])  # type: ignore[arg-type,return-value]
    assert set(ordered[-BEST:]) <= set(places)
    assert set(ordered[:WORST]) <= set(places)
    assert len(places) <= ROWS


def test_ten_thousand_rows_give_a_small_page_that_says_what_it_shows(tmp_path: Path) -> None:
    line = json.dumps(group(step=-1)).replace("-1,", "%d,", 1)
    folder = write_run(tmp_path)
    (folder / "samples.jsonl").write_text("".join(f"{line % step}\n" for step in range(10_000)))
    page = page_of(folder)
    shown = page.find("article")
    assert 50 <= len(shown) <= ROWS
    assert f"{len(shown)} of 10,000 rows of samples.jsonl" in page.text
    assert (folder / "report.html").stat().st_size < LIMIT


def test_long_rows_are_fewer_and_cut(tmp_path: Path) -> None:
    long, wide = " ".join(["<&>'"] * (TOKENS + 50)), " ".join([400 * "<&>'"] * 16)
    folder = write_run(
        tmp_path, samples=[sample(completion(long), completion(wide), completion(CHARACTERS * "xx"))] * 60
    )
    page = page_of(folder)
    assert "… 50 more tokens in samples.jsonl" in page.text
    assert "… 14 more tokens in samples.jsonl" in page.text
    assert 1 <= len(page.find("article")) < 60
    assert (folder / "report.html").stat().st_size < LIMIT


def test_the_best_outputs_are_distinct_texts(tmp_path: Path) -> None:
    rows = [sample(*(completion(f"text {value % 7}", preference=float(value % 7)) for value in range(14)))]
    write_rows(tmp_path / "samples.jsonl", rows)
    index = index_samples(tmp_path / "samples.jsonl")
    best = best_places(index, 5)
    assert [index.load(row)["completions"][position]["text"] for row, position in best] == [
        f"text {value}" for value in (6, 5, 4, 3, 2)
    ]


def test_there_are_no_best_outputs_where_many_are_equally_good(tmp_path: Path) -> None:
    rows = [sample(*(completion(f"text {value}", preference=-float(value % 2)) for value in range(12)))]
    write_rows(tmp_path / "samples.jsonl", rows)
    assert best_places(index_samples(tmp_path / "samples.jsonl"), 5) == []
