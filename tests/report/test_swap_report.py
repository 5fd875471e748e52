"""The page of a swap: what was varied, differences with intervals, failures, and every number of swap.json."""

from __future__ import annotations

from pathlib import Path

from tests.report.folders import swap_record, write_swap
from tests.report.parsed import Element, Parsed, page_of, people
from tgframe.report import write_report
from tgframe.report.swap_page import FORESTS, ROWS


def rows_of(page: Parsed, label: str) -> list[Element]:
    """Return the body rows of the table in the region of that name."""
    html = [one for one in page.elements if one.attributes.get("aria-label") == label]
    start = page.elements.index(html[0])
    rows = []
    for one in page.elements[start + 1 :]:
        if one.tag == "div":
            break
        if one.tag == "tr":
            rows.append(one)
    return rows[1:]


def test_it_says_what_was_varied(tmp_path: Path) -> None:
    page = page_of(write_swap(tmp_path / "swaps", swap_record()))
    assert page.find("title")[0].text == "swaps · tgframe swap"
    assert [one.text.split() for one in page.find("span", "choice")] == [["0", "baseline"], ["1"], ["2"]]
    assert "12 done" in page.text
    assert "20,000 preference calls" in page.text
    assert "On accuracy, after: of 2 cells, 1 is better than the baseline and none is worse" in page.text


def test_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    record = swap_record(cells=4)
    page = page_of(write_swap(tmp_path, record))
    numbers = page.numbers()
    for row in record["comparisons"]:
        ends = [*row["t_interval"], *row["bootstrap_interval"]]
        assert {row["difference"], *ends, row["p"], row["smallest_p"], row["p_corrected"], 0.4321} <= set(numbers)
    assert {row["mean"] for row in record["summary"]} <= set(numbers)
    first = rows_of(page, "All comparisons")[-1].text
    assert first.split()[1:3] == ["lr", "1"], "best first"
    assert {"+0.0123", *people("[-0.0077,"), "0.0323]", "0.013", "0.12", "0.037", "0.4321"} <= set(first.split())


def test_every_seed_has_a_dot_and_every_cell_a_row(tmp_path: Path) -> None:
    page = page_of(write_swap(tmp_path, swap_record(cells=3, seeds=4)))
    assert len(page.find("circle", "seed")) == 2 * 4
    assert len(page.find("line", "t")) == len(page.find("line", "bootstrap")) == 2
    assert [" ".join(one.text.split()[:3]) for one in page.find("li", "better")] == ["2 lr 1"]


def test_failed_runs_are_shown_as_failed_with_their_error(tmp_path: Path) -> None:
    page = page_of(write_swap(tmp_path, swap_record(failed=[(1, 2)])))
    assert "1 run failed:" in page.text
    (failures,) = page.find("ul", "failures")
    assert "seed 2: NumericError: <b>nan</b> & more cells/lr=1/seed-2" in " ".join(failures.text.split())
    assert len(page.find("circle", "seed")) == 2 * 4 - 1


def test_an_unfinished_swap_says_so(tmp_path: Path) -> None:
    record = swap_record()
    record["cells"][2]["runs"][3].update(status="pending", scores={}, cost={})
    page = page_of(write_swap(tmp_path, record))
    assert "This swap has not finished. 1 run is still to be done." in page.text


def test_one_seed_says_that_nothing_can_be_tested(tmp_path: Path) -> None:
    record = swap_record(cells=2, seeds=1)
    nothing = dict.fromkeys(("t_interval", "bootstrap_interval", "p", "smallest_p", "p_corrected", "effect_size"), None)
    record["comparisons"] = [{**record["comparisons"][0], **nothing, "note": "one seed: no test"}]
    page = page_of(write_swap(tmp_path, record))
    assert "nothing can be tested" in page.text
    assert "one seed: no test" in page.text
    assert page.find("line", "t") == []


def test_a_swap_in_which_every_run_failed_has_a_page(tmp_path: Path) -> None:
    record = swap_record(cells=2, seeds=1, failed=[(0, 0), (1, 0)])
    record["comparisons"] = []
    assert "2 runs failed:" in page_of(write_swap(tmp_path, record)).text
    assert "0 cells of" in page_of(write_swap(tmp_path, {})).text


def test_quality_stands_against_the_costs_that_differ(tmp_path: Path) -> None:
    page = page_of(write_swap(tmp_path, swap_record()))
    captions = [" ".join(one.text.split()) for one in page.find("figcaption")]
    assert captions == ["accuracy, after against training, seconds"]
    assert len(page.find("g", "spot")) == 3


def test_memory_is_told_in_mebibytes(tmp_path: Path) -> None:
    record = swap_record()
    for index, cell in enumerate(record["cells"]):
        for run in cell["runs"]:
            run["cost"] = {"peak_memory_bytes": (900 + 10 * index) * 2**20}
    page = page_of(write_swap(tmp_path, record))
    assert [" ".join(one.text.split()) for one in page.find("figcaption")] == [
        "accuracy, after against peak memory, MiB"
    ]
    (plot,) = page.find("svg")[-1:]
    assert [spot.rpartition(" ")[2] for spot in plot.attributes["aria-label"].split(";")] == ["900", "910", "920"]


def test_fifty_cells_give_a_small_page(tmp_path: Path) -> None:
    record = swap_record(cells=50, seeds=8)
    more = [{**row, "metric": f"metric_{index}"} for index in range(40) for row in record["comparisons"]]
    record["comparisons"] += more
    html = write_report(write_swap(tmp_path, record)).read_text(encoding="utf-8")
    assert html.count("<tr") == 1 + 50 + 1 + ROWS
    assert f"{ROWS} of 2009 are shown" in html
    assert html.count('<figure class="forest"') == FORESTS
    assert 1_000_000 < len(html.encode()) < 5_000_000


def test_every_text_of_a_swap_stays_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    record = swap_record(cells=2)
    record["recipe"] = record["machine"] = hostile
    record["vary"][0]["values"][1] = record["cells"][1]["settings"]["optimizer.policy.lr"] = hostile
    record["comparisons"][0]["note"] = hostile
    page = page_of(write_swap(tmp_path, record))
    assert len(page.find("script")) == 2
    assert page.text.count(hostile) >= 5
