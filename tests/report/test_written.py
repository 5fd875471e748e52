"""What the systems wrote: which items are shown, what their columns are, and that every text stays text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.report.folders import evaluation, evaluations, write_rows, write_run
from tests.report.parsed import Parsed, page_of
from tgframe.report.evaluated import LABEL, evaluated
from tgframe.report.written import CHARACTERS, FOLDED, ITEMS, choose_items, written

HOSTILE = "<script>alert(1)</script></style><img src=x onerror=alert(2)>\"'&<!--"
LONG = "a text that is longer than any label"


def page_with(folder: Path, rows: list[dict[str, Any]]) -> Parsed:
    write_rows(write_run(folder, samples=[]) / "eval.jsonl", rows)
    return page_of(folder)


def changes_of(changes: list[float]) -> list[float]:
    chosen = choose_items(evaluated(evaluations(changes)))
    return sorted(item.change for item in chosen if item.change is not None)


def test_a_run_without_texts_has_no_section(tmp_path: Path) -> None:
    labels = [
        {"system": system, "split": "test", "item": item, "label": "very positive", "predicted": "b", "correct": 1.0}
        for system in ("before", "after")
        for item in range(5)
    ]
    values = [{"system": "after", "split": "test", "id": LONG, "worth": [0.5, 1.5], "judged": [0.0, -1.0]}]
    for rows in ([], labels, values):
        page = page_with(tmp_path, rows)
        assert "What was written" not in page.text
        assert [one for one in page.elements if one.attributes.get("id") == "written"] == []
    assert "What was written" in page_with(tmp_path, [*labels, *evaluations([0.5])]).text


def test_texts_stand_by_system_with_their_scores_below_the_targets(tmp_path: Path) -> None:
    page = page_with(tmp_path, evaluations([0.125]))
    (card,) = page.find("article", "item")
    assert " ".join(card.text.split()) == (
        "Item 1 id-0 rouge1 +0.1250 by training targets what a good summary of number 0 says rouge1meteor "
        "before before says this of the article number 0 rouge1 0.5000 meteor 0.5000 "
        "after after says this of the article number 0 rouge1 0.6250 meteor 0.5000 "
        "lead lead says this of the article number 0 rouge1 0.2500 meteor 0.5000"
    )
    assert {0.5, 0.625, 0.25, 0.125} <= set(page.numbers())


def test_the_lowest_and_the_highest_change_are_shown_and_the_others_evenly() -> None:
    changes = [((37 * index) % 1000) / 2048 - 0.25 for index in range(1000)]
    shown, ordered = changes_of(changes), sorted(changes)
    assert len(shown) == ITEMS
    assert (shown[0], shown[-1]) == (ordered[0], ordered[-1])
    ranks = [ordered.index(change) for change in shown]
    steps = [later - earlier for earlier, later in pairwise(ranks)]
    assert max(steps) - min(steps) <= 1


def test_as_many_items_of_each_change_are_shown_as_there_are() -> None:
    shown = changes_of([0.0] * 800 + [0.25] * 200)
    assert shown.count(0.25) == ITEMS // 5


def test_items_stand_in_the_order_of_the_file_and_the_page_says_how_they_were_chosen(tmp_path: Path) -> None:
    page = page_with(tmp_path, evaluations([0.25, -0.25, 0.0, -0.125] * 10))
    places = [int(one.attributes["data-place"]) for one in page.find("article", "item")]
    assert places == sorted(places)
    assert len(places) == ITEMS
    assert f"{ITEMS} of 40 items of eval.jsonl, spread evenly over the change of rouge1 by training" in page.text
    assert "rouge1 rose on 10 of 40 items, fell on 20 and stayed on 10." in page.text


def test_without_a_score_items_are_shown_evenly_over_the_file(tmp_path: Path) -> None:
    rows = [evaluation(item, system) for system in ("before", "after") for item in range(100)]
    page = page_with(tmp_path, rows)
    places = [int(one.attributes["data-place"]) for one in page.find("article", "item")]
    assert (places[0], places[-1], len(places)) == (0, 99, ITEMS)
    assert f"{ITEMS} of 100 items of eval.jsonl, evenly over the file." in page.text
    assert "largest rise" not in page.text


def test_few_items_are_all_shown(tmp_path: Path) -> None:
    page = page_with(tmp_path, evaluations([0.0, 0.5]))
    assert len(page.find("article", "item")) == 2
    assert "All 2 items of eval.jsonl." in page.text


def test_columns_are_told_apart_by_what_they_hold() -> None:
    rows: list[dict[str, Any]] = [
        {"system": system, "id": "1", "prompt": LONG, "kind": "short", "written": system + LONG, "kl": 1, "right": True}
        for system in ("before", "after")
    ]
    rows += [{"system": "after", "id": "1", "worth": [0.5]}, {"system": "after", "id": "2", "worth": [0.5]}]
    found = evaluated(rows)
    assert (found.given, found.written, found.scores) == (["prompt"], ["written"], ["kl", "right"])
    assert [item.name for item in found.items] == ["1"], "items without a text are none"


def test_one_system_alone_shows_all_its_texts(tmp_path: Path) -> None:
    page = page_with(tmp_path, [evaluation(0, "before", 0.5)])
    assert [one.text.split() for one in page.find("p", "who")] == [["before"]]
    assert [one.text for one in page.find("span", "column")] == ["summary", "targets"]


@pytest.mark.parametrize(("length", "shown"), [(LABEL, False), (LABEL + 1, True)])
def test_a_label_is_short(length: int, shown: bool) -> None:
    assert (written([{"system": "after", "answer": length * "x"}]) is not None) == shown


def test_long_given_texts_are_folded_and_very_long_ones_cut(tmp_path: Path) -> None:
    rows = [row | {"source": (CHARACTERS + 50) * "x"} for row in evaluations([0.5])]
    page = page_with(tmp_path, rows)
    (source,) = page.find("details", "given")
    assert source.text.split() == ["source", CHARACTERS * "x", "…", "50", "more", "characters", "in", "eval.jsonl"]
    (target,) = page.find("div", "given")
    assert len(target.text) < FOLDED


def test_a_text_that_training_left_and_one_that_is_empty_are_told(tmp_path: Path) -> None:
    rows = [evaluation(0, "before", 0.5, ""), evaluation(0, "after", 0.5, ""), evaluation(0, "lead", 0.5, LONG)]
    rows.append(evaluation(0, "blank", 0.5, " \n "))
    page = page_with(tmp_path, rows)
    assert [" ".join(one.text.split()) for one in page.find("p", "who")] == [
        "before",
        "after as before",
        "lead",
        "blank",
    ]
    assert [one.text.strip() for one in page.find("div", "wrote")] == ["nothing", "nothing", LONG, "only blanks"]
    assert "on 1 the text is the same as before" in page.text


def test_every_text_stays_text(tmp_path: Path) -> None:
    row = evaluation(0, HOSTILE, 0.5, HOSTILE, source=HOSTILE, **{HOSTILE: 1.0})
    page = page_with(tmp_path, [row | {"id": HOSTILE, "targets": [HOSTILE]}])
    (card,) = page.find("article", "item")
    assert card.text.count(HOSTILE) >= 6
    assert len(page.find("script")) == 2
    assert page.find("img") == []


def test_odd_rows_do_not_stop_the_page(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"system": 3, "id": [1], "summary": LONG},
        {"targets": [1, LONG]},
        {"summary": {}},
        {"summary": None, "id": 1},
    ]
    folder = write_run(tmp_path)
    write_rows(folder / "eval.jsonl", [*odd, *evaluations([0.5])])
    with (folder / "eval.jsonl").open("a") as file:
        file.write('{"system": "after", "summ')
    page = page_of(folder)
    assert len(page.find("article", "item")) == 2
    assert "1 line of eval.jsonl could not be read and is left out." in page.text


def test_ten_thousand_rows_of_long_texts_give_a_small_page(tmp_path: Path) -> None:
    rows = [row | {"source": 400 * "<&>' "} for row in evaluations([index / 8192 for index in range(3334)])]
    page = page_with(tmp_path, rows)
    assert len(page.find("article", "item")) == ITEMS
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_the_longest_texts_are_fewer_items_with_both_ends(tmp_path: Path) -> None:
    rows = [
        row | {"summary": row["system"] + CHARACTERS * "'", "source": CHARACTERS * "<"}
        for row in evaluations([index / 128 for index in range(60)])
    ]
    page = page_with(tmp_path, rows)
    changes = [float(one.attributes["data-change"]) for one in page.find("article", "item")]
    assert (min(changes), max(changes)) == (0.0, 59 / 128)
    assert 2 <= len(changes) < ITEMS
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
