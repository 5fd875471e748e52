"""The page in a real browser: no error, no request, colours, hover, keyboard, filters, narrow screens, dark ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import Browser, Page, find_chromium
from tests.report.folders import (
    completion,
    evaluation,
    evaluations,
    group,
    sample,
    swap_record,
    write_rows,
    write_run,
    write_swap,
)
from tgframe.report import write_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no chromium on this machine")

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"

OUTSIDE = """[...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.wide'))
    .map(one => `${one.tagName}.${one.getAttribute('class')}: ${one.textContent.slice(0, 40)}`)
"""
"""What reaches beyond the window; tables that are wide scroll in a place of their own."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = find_chromium()
    assert path is not None
    with Browser(path, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def run_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = " ".join(f"word{index}" for index in range(60))
    samples = [
        group(ground_step=1),
        sample(
            completion("low high", [0.0, 1.0], aggregate=0.5, preference=9.0), step=3, ground_step=3, phase="improve"
        ),
        sample(completion(words, preference=1.0), completion(words, preference=0.0), step=7, phase="improve"),
        sample(completion(HOSTILE, preference=0.5), step=9, prompt="a prompt to find", phase="improve"),
        sample(completion(80 * "long"), completion(80 * "long"), step=30, prompt=80 * "long"),
    ]
    folder = write_run(tmp_path_factory.mktemp("run") / (20 * "long"), samples)
    wide = {f"a_score_with_a_long_name_{index}": 0.5 for index in range(3)}
    rows = [
        *evaluations([0.0, 0.25, -0.25]),
        evaluation(3, "before", 0.5, HOSTILE),
        evaluation(3, "lead", 0.5, 80 * "long"),
    ]
    write_rows(
        folder / "eval.jsonl", [*rows, evaluation(3, "after", 0.625, 9 * "long ", source=90 * "source ", **wide)]
    )
    return write_report(folder)


@pytest.fixture(scope="module")
def swap_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = swap_record(cells=50, seeds=8, failed=[(3, 1)])
    record["cells"][1]["id"] = record["comparisons"][0]["cell"] = "a-long-name-without-any-place-to-break-it=" * 3
    return write_report(write_swap(tmp_path_factory.mktemp("swap"), record))


@pytest.fixture
def page(browser: Browser, run_report: Path) -> Page:
    page = Page(browser)
    page.open(run_report)
    return page


def centre(page: Page, selector: str) -> tuple[float, float]:
    """Bring an element into view and return its centre."""
    find = f"document.querySelector({json.dumps(selector)})"
    page.run(f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    x, y = page.run(f"(() => {{ const box = {find}.getBoundingClientRect();"
                    " return [box.x + box.width / 2, box.y + box.height / 2] })()")  # fmt: skip
    return x, y


def shown_cards(page: Page, section: str = "#samples") -> list[str]:
    """Return the place of every visible card of a section, from above."""
    find = f"document.querySelectorAll('{section} .card:not([hidden])')"
    places: list[str] = page.run(f"[...{find}].map(one => one.dataset.place)")
    return places


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("kind", ["run", "swap"])
def test_it_opens_without_errors_requests_or_sideways_scrolling(
    kind: str, width: int, dark: bool, browser: Browser, run_report: Path, swap_report: Path
) -> None:
    page = Page(browser, width, dark=dark)
    page.open(run_report if kind == "run" else swap_report)
    assert page.run("document.documentElement.scrollWidth") == width
    assert page.run(OUTSIDE) == []
    red, green, blue = page.run("getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue < 3 * 60) == dark
    assert page.errors() == []
    assert page.requests() == []


def test_a_hostile_completion_stays_text(page: Page) -> None:
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('.card script, .card img').length") == 0
    for text in (".tokens", ".wrote p"):
        assert HOSTILE in page.run(f"[...document.querySelectorAll('{text}')].map(one => one.textContent)")


def test_the_content_policy_is_in_force(page: Page) -> None:
    refused = page.run("""new Promise(done => {
        const refused = [];
        document.addEventListener('securitypolicyviolation', event => {
            refused.push(event.effectiveDirective);
            if (refused.length === 2) done(refused.sort());
        });
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1';
        document.body.append(script);
        new Image().src = 'https://example.org/a.png';
    })""")
    assert refused == ["img-src", "script-src-elem"]
    assert page.run("window.hacked") is None
    assert len(page.errors()) == 2, "errors are seen"


def test_tokens_are_coloured_and_underlined_by_their_worth(page: Page) -> None:
    low, high = page.run("""[...document.querySelectorAll('#samples .card[data-place="1"] .tokens i')]
        .map(token => getComputedStyle(token))
        .map(style => [style.backgroundColor, parseFloat(style.borderBottomWidth)])
    """)
    assert low[0] != high[0]
    assert low[1] < high[1]


def test_hover_shows_the_value_of_a_token(page: Page) -> None:
    selector = '#samples .card[data-place="0"] .tokens i:nth-child(2)'
    content = f"getComputedStyle(document.querySelector('{selector}'), '::after').content"
    assert page.run(content) == "none"
    page.move(*centre(page, selector))
    assert page.run(content) == '"0.1"'


def test_arrow_keys_walk_over_tokens_and_completions(page: Page) -> None:
    page.run("document.querySelector('#samples .card[data-place=\"0\"] .tokens').focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.press(key)
    assert page.run("[...document.querySelectorAll('.at')].map(one => one.textContent)") == [" best"]
    assert page.run("getComputedStyle(document.querySelector('.at'), '::after').content") == '"0.1"'
    page.press("ArrowDown")
    assert page.run("document.activeElement.textContent") == "a middling thing"


def test_search_filters_rows_and_dims_other_completions(page: Page) -> None:
    page.run("document.querySelector('#samples .filters input').focus()")
    page.type("MIDDLING")
    assert shown_cards(page) == ["0"]
    assert page.run("document.querySelector('#samples .count').textContent") == "1 of 5 match"
    dim = "[...document.querySelectorAll('#samples .card[data-place=\"0\"] .dim .tokens')].map(one => one.textContent)"
    assert page.run(dim) == ["the best one", "worst of all"]


def test_search_finds_prompts(page: Page) -> None:
    page.run("document.querySelector('#samples .filters input').focus()")
    page.type("prompt to find")
    assert shown_cards(page) == ["3"]


def test_rows_are_filtered_by_phase_and_step(page: Page) -> None:
    change = "(() => {{ const one = document.querySelector('#samples [name={}]'); one.value = '{}';" \
             " one.dispatchEvent(new Event('input', {{bubbles: true}})) }})()"  # fmt: skip
    page.run(change.format("phase", "improve"))
    assert sorted(shown_cards(page)) == ["1", "2", "3"]
    page.run(change.format("from", "4"))
    page.run(change.format("to", "8"))
    assert shown_cards(page) == ["2"]


def test_the_best_rows_come_first_and_the_order_can_be_changed(page: Page) -> None:
    assert shown_cards(page) == ["1", "0", "2", "3", "4"]
    page.run("""(() => { const one = document.querySelector('#samples [name=order]'); one.value = 'time';
        one.dispatchEvent(new Event('change', {bubbles: true})) })()""")
    assert shown_cards(page) == ["0", "1", "2", "3", "4"]


def test_many_rows_are_shown_little_by_little(browser: Browser, tmp_path: Path) -> None:
    page = Page(browser)
    page.open(write_report(write_run(tmp_path, [group(step=step) for step in range(25)])))
    shown = "[...document.querySelectorAll('.card')].filter(one => one.offsetHeight).length"
    button = "document.querySelector('.show-more')"
    assert (page.run(shown), page.run(f"{button}.textContent")) == (10, "Show 10 more of 25")
    page.send("Emulation.setEmulatedMedia", media="print")
    assert page.run(shown) == 25, "paper has no buttons"
    page.send("Emulation.setEmulatedMedia", media="")
    page.run(f"{button}.click(), {button}.click()")
    assert (page.run(shown), page.run(f"{button}.hidden")) == (25, True)


def test_what_was_written_is_ordered_by_its_change(page: Page) -> None:
    assert shown_cards(page, "#written") == ["0", "1", "2", "3"]
    for order, places in {"rise": "1302", "fall": "2031", "time": "0123"}.items():
        page.run(f"""(() => {{ const one = document.querySelector('#written [name=order]'); one.value = '{order}';
            one.dispatchEvent(new Event('change', {{bubbles: true}})) }})()""")
        assert shown_cards(page, "#written") == list(places)
    assert len(shown_cards(page)) == 5, "each section has an order of its own"


def test_what_was_written_is_searched(page: Page) -> None:
    page.run("document.querySelector('#written .filters input').focus()")
    page.type("LEAD says")
    assert shown_cards(page, "#written") == ["0", "1", "2"]
    assert page.run("document.querySelector('#written .count').textContent") == "3 of 4 match"
    dim = "[...document.querySelectorAll('#written .card[data-place=\"0\"] .dim .who')]"
    assert page.run(f"{dim}.map(one => one.textContent.trim())") == ["before", "after"]
    assert len(shown_cards(page)) == 5


def test_each_row_can_have_its_own_scale(page: Page) -> None:
    classes = "[...document.querySelectorAll('#samples .card[data-place=\"0\"] .tokens i')].map(one => one.className)"
    before = page.run(classes)
    page.run("document.querySelector('.own-scale input').click()")
    assert page.run(classes) == ["s0", "s3", "s6"] * 3
    page.run("document.querySelector('.own-scale input').click()")
    assert page.run(classes) == before


def test_a_pointer_over_a_chart_reads_all_charts_of_its_group(page: Page) -> None:
    latest = "[...document.querySelectorAll('[data-group=step] .readout')].map(one => one.textContent)"
    before = page.run(latest)
    page.move(*centre(page, '[data-chart="improve/loss"] .canvas'))
    during = page.run(latest)
    assert during[0] == "0.4 at 10"
    assert all("at 10" in text for text in during)
    page.move(1, 1)
    assert page.run(latest) == before


def test_tables_are_ordered_by_their_headings(browser: Browser, swap_report: Path) -> None:
    page = Page(browser)
    page.open(swap_report)
    cells = "[...document.querySelectorAll('#table tbody tr')].slice(0, 2).map(one => one.cells[3].textContent.trim())"
    assert page.run(cells) == ["+0.6049", "+0.5926"]
    for _ in range(2):
        page.run("document.querySelectorAll('#table th button')[3].click()")
    assert page.run(cells) == ["+0.0123", "+0.0247"]
    assert page.run("document.querySelector('#table [aria-sort]').textContent") == "difference"
