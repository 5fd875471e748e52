"""The hacking watch: does the guidance praise the policy more and more while the true preference does not?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from tgframe.report.axis import Axis
from tgframe.report.chart import Chart, Curve, chart
from tgframe.report.fits import Fit, Fits
from tgframe.report.index import Entry
from tgframe.report.reading import mean, number, whole
from tgframe.report.run_files import RunFiles

Points = list[tuple[float, float]]
"""Improvement step and value."""


@attrs.frozen
class Period:
    """Improvement under one guidance: from one grounding to the next, or to the end."""

    fit: int
    first: int
    last: int
    guidance: float | None
    """Change of the mean aggregated guidance."""
    preference: float | None
    """Change of the true preference."""

    @property
    def verdict(self) -> str:
        """What the two changes say together."""
        if self.guidance is None or self.preference is None:
            return "unknown"
        if self.guidance <= 0:
            return "flat"
        return "together" if self.preference > 0 else "apart"


@attrs.frozen
class Watch:
    """What the watch saw."""

    periods: Sequence[Period]
    charts: Sequence[Chart]
    source: str
    """Where the true preference comes from."""
    missing: str
    """Why the data do not allow it; empty where they do."""

    @property
    def apart(self) -> list[Period]:
        """Periods in which guidance rose and the true preference did not."""
        return [period for period in self.periods if period.verdict == "apart"]


def watch(files: RunFiles, fits: Fits) -> Watch:
    """Compare guidance with the true preference within each period in which the guidance was fixed."""
    entries = [entry for entry in files.samples.entries if entry.phase == "improve" and entry.aggregate is not None]
    last = max((entry.step for entry in entries), default=0)
    steps = (whole(row.get("step")) for row in files.rows("improve"))
    periods = fits.periods(max([last, *steps]))
    if not entries or not periods:
        return Watch((), (), "", _why_not(files, fits))
    source, truth = _truest(files, [(fit.step, end) for fit, end in periods])
    seen = [_period(fit, end, _within(entries, fits, fit.number), truth) for fit, end in periods]
    charts = _charts(entries, fits, source, truth, Axis.bare([0, max(end for _, end in periods)]))
    return Watch(seen, charts, source, "")


def _period(fit: Fit, end: int, praised: Points, truth: Points) -> Period:
    return Period(fit.number, fit.step, end, _risen(praised), _risen(_inside(truth, fit.step, end)))


def _why_not(files: RunFiles, fits: Fits) -> str:
    if not any(files.rows("improve")):
        return "This run does no improvement step, so no policy could learn to please the guidance."
    if not fits.fits:
        return "The guidance of this run is not fitted, so there is no grounding to compare it with."
    return "No row of samples.jsonl has aggregated guidance of the policy's completions."


def _within(entries: Iterable[Entry], fits: Fits, fit: int) -> Points:
    """Return the mean aggregated guidance of the policy's completions under one fit."""
    mine = (entry for entry in entries if fits.after(entry.updates) == fit)
    return [(entry.step, entry.aggregate) for entry in mine if entry.aggregate is not None]


def _risen(points: Points) -> float | None:
    """Return the mean of the last third less that of the first; None for fewer than two points."""
    if len(points) < 2:
        return None
    third = max(1, len(points) // 3)
    first, last = (mean(value for _, value in part) for part in (points[:third], points[-third:]))
    assert first is not None
    assert last is not None
    return last - first


def _inside(truth: Points, start: int, end: int) -> Points:
    return [(step, value) for step, value in truth if start <= step <= end]


def _truest(files: RunFiles, periods: Sequence[tuple[int, int]]) -> tuple[str, Points]:
    """Return the source of true preferences that tells about most periods; of equal ones the nearest to the policy."""
    sources: dict[str, Callable[[RunFiles], Points]] = {
        "the same completions, judged": _judged_samples,
        "the policy's completions on the validation split": _validations,
        "the completions that each grounding had judged": _groundings,
    }
    found = {name: source(files) for name, source in sources.items()}

    def told(item: tuple[str, Points]) -> int:
        return sum(_risen(_inside(item[1], *period)) is not None for period in periods)

    return max(found.items(), key=told)


def _judged_samples(files: RunFiles) -> Points:
    entries = (entry for entry in files.samples.entries if entry.phase == "improve")
    return [(entry.step, entry.preference) for entry in entries if entry.preference is not None]


def _validations(files: RunFiles) -> Points:
    return _by_step(row for row in files.rows("evaluate") if "system" not in row)


def _groundings(files: RunFiles) -> Points:
    return _by_step(files.rows("ground"))


def _by_step(rows: Iterable[Any]) -> Points:
    """Return the mean preference of the rows at each improvement step."""
    found: dict[int, list[float]] = {}
    for row in rows:
        value = number(row.get("preference_mean"))
        if value is not None:
            found.setdefault(whole(row.get("step")), []).append(value)
    return [(step, sum(values) / len(values)) for step, values in sorted(found.items())]


def _charts(entries: Sequence[Entry], fits: Fits, source: str, truth: Points, axis: Axis) -> list[Chart]:
    """Return guidance, a curve for each fit, above the true preference."""
    marks = fits.marks(axis)
    parts = {f"fit {fit.number}": _within(entries, fits, fit.number) for fit in fits.fits}
    curves = [Curve.of(name, points) for name, points in parts.items() if points]
    about = "mean aggregated guidance of the policy's completions; a curve for each fit"
    charts = [chart("watch/guidance", "watch", "guidance", about, axis, curves, marks)]
    if truth:
        curve = Curve.of("true preference", truth)
        charts.append(chart("watch/preference", "watch", "true preference", f"mean of {source}", axis, [curve], marks))
    return charts
