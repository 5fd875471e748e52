"""What is computed from the rows: colours, axes, curves, order, change, the hacking watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.folders import METRICS, Row, completion, ground, improve, sample, write_run
from tests.report.parsed import page_of, people
from tgframe.report.axis import Axis
from tgframe.report.chart import POINTS, Curve
from tgframe.report.fits import Fits
from tgframe.report.numbers import NOTHING, duration, plain, score, signed, size
from tgframe.report.palette import Palette
from tgframe.report.readable import readable
from tgframe.report.run_files import read_run
from tgframe.report.watch import Watch, watch


def watched(folder: Path) -> Watch:
    files = read_run(folder)
    return watch(files, Fits.of(files.rows("ground")))


def praised(step: int, ground_step: int, aggregate: float, preference: float | None = None) -> Row:
    return sample(
        completion(aggregate=aggregate, preference=preference), step=step, ground_step=ground_step, phase="improve"
    )


def test_guidance_of_both_signs_is_coloured_around_zero() -> None:
    palette = Palette.of([-1.0, -0.5, 0.0, 0.5, 0.25])
    values = (-9.0, -1.0, -0.01, 0.0, 0.25, 0.5, 1.0)
    assert [palette.name(value) for value in values] == ["n4", "n4", "z", "z", "p1", "p2", "p4"]
    assert [label for _, label in palette.legend() if label] == people("-1", "0", "1")


def test_guidance_of_one_sign_is_coloured_from_low_to_high() -> None:
    palette = Palette.of([0.2, 0.9, 1.6])
    assert [palette.name(value) for value in (0.0, 0.2, 0.9, 1.6, 5.0)] == ["s0", "s0", "s3", "s6", "s6"]
    assert palette.name(None) == "none"


def test_a_few_outliers_do_not_bleach_the_others() -> None:
    palette = Palette.of([*(index / 100 for index in range(100)), 1000.0])
    assert palette.name(0.9) == "s6"


def test_guidance_that_is_all_alike_is_not_coloured() -> None:
    assert Palette.of([0.5, 0.5]).name(0.5) == "z"


@pytest.mark.parametrize(
    ("values", "ends", "texts"),
    [
        ([0.12, 0.87], (0.0, 1.0), ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ([-1.4, 0.1], (-1.5, 0.5), people("-1.5", "-1.0", "-0.5", "0.0", "0.5")),
        ([3.0], (1.0, 5.0), ["1", "2", "3", "4", "5"]),
        ([], (-0.5, 0.5), people("-0.5", "0.0", "0.5")),
        ([100, 107.5], (100, 107.5), ["100.0", "102.5", "105.0", "107.5"]),
    ],
)
def test_axes_end_at_round_numbers(values: list[float], ends: tuple[float, float], texts: list[str]) -> None:
    axis = Axis.nice(values)
    assert (axis.low, axis.high) == pytest.approx(ends)
    assert [tick.text for tick in axis.ticks] == texts
    assert [tick.share for tick in axis.ticks] == pytest.approx([i / (len(texts) - 1) for i in range(len(texts))])


def test_a_long_curve_is_drawn_as_means_with_a_band() -> None:
    values = [(float(step), float(step % 2)) for step in range(10 * POINTS)]
    curve = Curve.of("loss", values)
    assert len(curve.points) == POINTS
    assert {(point.low, point.y, point.high) for point in curve.points} == {(0.0, 0.5, 1.0)}
    assert curve.points[0].x == 4.5


def test_a_short_curve_is_drawn_as_it_is() -> None:
    points = Curve.of("loss", [(1.0, 3.0), (2.0, 1.0)]).points
    assert [(point.x, point.y, point.low, point.high) for point in points] == [(1, 3, 3, 3), (2, 1, 1, 1)]


def test_numbers_are_written_for_people() -> None:
    numbers = (30160.0, -0.00012345, 3.0, 85.154, None)
    assert [plain(value) for value in numbers] == people("30,160", "-0.0001234", "3", "85.15", NOTHING)
    assert [score(0.74), signed(0.0772), signed(-0.01), signed(0.0)] == people("0.7400", "+0.0772", "-0.0100", "0.0000")
    assert [duration(81.399), duration(240.089), duration(7322)] == ["81.4 s", "4 min 0 s", "2 h 2 min"]
    assert [size(971649024), size(3 * 2**30)] == ["927 MiB", "3.00 GiB"]


def test_tokens_that_are_parts_of_a_character_are_made_readable() -> None:
    tokens = [" caf", "\ufffd", "\ufffd", "s", " close", "</s>"]
    assert readable(tokens, " cafés close") == [" caf", "é", "·", "s", " close", "</s>"]
    assert readable(["\ufffd", "\ufffd", "\ufffd"], "語") == ["語", "·", "·"]
    assert readable(["no", " change"], "no change") == ["no", " change"]
    assert readable(["\ufffd", "not", "there"], "there is not") == ["\ufffd", "not", "there"]


def test_regroundings_are_marked_on_the_curves(tmp_path: Path) -> None:
    page = page_of(write_run(tmp_path))
    marks = [one.attributes["d"] for one in page.find("path", "mark")]
    assert "M500.0 0V400" in marks, "the second fit began at step 10 of 20"
    assert "M600.0 0V400" in marks, "and with grounding step 4 of 1 to 6"


def test_the_fits_are_told_with_their_means(tmp_path: Path) -> None:
    rows = [ground(0, 1, 1, 10.0, 0.5), ground(0, 2, 1, 12.0, 0.75), ground(8, 3, 2, 20.0, 1.0)]
    page = page_of(write_run(tmp_path, metrics=rows))
    means = [row.text.split() for row in page.find("tr") if row.text.split()[:1] in (["1"], ["2"])]
    assert means[0] == ["1", "0", "2", "0.625", "0.25", "11", "13"]
    assert means[1] == ["2", "8", "1", "1", "1", "20", "21"]


def test_the_watch_sees_guidance_rise_without_preference(tmp_path: Path) -> None:
    metrics = [ground(0, 1, 1, 30.0), *(improve(step) for step in range(1, 10)), ground(10, 2, 2, 20.0), improve(19)]
    samples = [praised(1, 1, 0.2), praised(9, 1, 0.8), praised(11, 2, 0.9), praised(19, 2, 0.4)]
    found = watched(write_run(tmp_path, samples, metrics))
    first, second = found.periods
    assert (first.guidance, first.preference, first.verdict) == (pytest.approx(0.6), -10.0, "apart")
    assert (second.guidance, second.preference, second.verdict) == (pytest.approx(-0.5), None, "unknown")
    assert found.source == "the completions that each grounding had judged"
    assert "that is so after fit 1" in page_of(tmp_path).text


def test_the_watch_prefers_judgments_of_the_same_completions(tmp_path: Path) -> None:
    metrics = [ground(0, 1, 1, 30.0), improve(20)]
    samples = [praised(1, 1, 0.2, preference=1.0), praised(20, 1, 0.8, preference=3.0)]
    found = watched(write_run(tmp_path, samples, metrics))
    assert [(period.preference, period.verdict) for period in found.periods] == [(2.0, "together")]
    assert found.source == "the same completions, judged"
    assert "no period shows that." in page_of(tmp_path).text


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([ground(0, 1, 1, 3.0)], "does no improvement step"),
        ([improve(1)], "is not fitted"),
        (METRICS, "No row of samples.jsonl has aggregated guidance"),
    ],
)
def test_the_watch_says_why_there_is_nothing_to_watch(metrics: list[Any], said: str, tmp_path: Path) -> None:
    assert said in page_of(write_run(tmp_path, [sample(completion())], metrics)).text


def test_guidance_of_the_same_text_is_followed_over_fits(tmp_path: Path) -> None:
    def of(fit: float, **where: Any) -> Row:
        return sample(completion("same text", [fit, fit], aggregate=fit), completion("other"), **where)

    samples = [
        of(0.25, ground_step=1),  # written before the first grounding step: no fit yet
        of(0.5, ground_step=3, step=2, phase="improve"),
        of(0.75, ground_step=4),  # written before the second fit's first step: still the first
        of(1.0, ground_step=6, step=12, phase="improve"),
    ]
    page = page_of(write_run(tmp_path, samples))
    strips = [" ".join(one.text.split()) for one in page.find("div", "strip")]
    assert strips[:3] == ["unfitted 0.25 same text", "fit 1 0.75 same text", "fit 2 1 same text"]
