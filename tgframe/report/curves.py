"""The learning curves of metrics.jsonl as small multiples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from tgframe.report.axis import Axis, Tick
from tgframe.report.chart import Chart, Curve, chart
from tgframe.report.fits import Fits
from tgframe.report.reading import Row, number
from tgframe.report.run_files import RunFiles

FIRST = 6
"""Charts that are shown at once; the others, and those that never change, are folded away."""
MOST = 40
"""Keys of one phase that get a chart."""
NOT_CURVES = frozenset({"step", "phase", "ground_step", "fit", "system", "split", "preference_calls"})

ABOUT = {
    "loss": "what the update minimises",
    "entropy": "how undecided the policy is over the next token, in nats",
    "nll": "negative log-probability of its own tokens",
    "kl": "mean log-ratio of policy and reference, in nats a token",
    "value_mean": "mean guidance of a token",
    "grad_norm": "before clipping",
    "lr": "learning rate",
    "pairwise_accuracy": "share of pairs that aggregated guidance puts in the true order",
    "kendall_tau": "rank correlation of aggregated guidance with the true preference",
    "preference_mean": "true preference, mean of the judged completions",
    "preference_best": "true preference of the best judged completion",
    "missing": "completions without a judgment",
    "validation_loss": "ranking loss on another split",
}
LEVELS = {"pairwise_accuracy": (0.5, "chance"), "kendall_tau": (0.0, "chance")}


@attrs.frozen
class Multiples:
    """Small charts on one horizontal axis."""

    title: str
    axis: str
    """What the horizontal axis counts."""
    open: Sequence[Chart]
    folded: Sequence[Chart]

    @property
    def charts(self) -> list[Chart]:
        """All of them."""
        return [*self.open, *self.folded]


def improvement(files: RunFiles, fits: Fits) -> Multiples | None:
    """Return the curves of the improvement steps, validations among them; None where there are none."""
    rows = list(files.rows("improve"))
    checks = [row for row in files.rows("evaluate") if "system" not in row]
    if not rows:
        return None
    axis = _axis(rows + checks, "step", start=0)
    marks = fits.marks(axis)
    checked = [_of(key, checks, "step", axis, marks, "validation") for key in ("preference_mean", "preference_best")]
    charts = _charts(rows, "step", axis, marks, "improve", skip=())
    validation = [found for found in checked if found is not None]
    return _folded("Improvement", "improvement step", [*charts[:1], *validation, *charts[1:]])


def grounding(files: RunFiles, fits: Fits) -> Multiples | None:
    """Return the curves of the grounding steps, agreement excepted; None where there are none."""
    rows = _ground_rows(files)
    if not rows:
        return None
    axis = _axis(rows, "ground_step")
    marks = fits.marks(axis, grounding=True)
    skip = ("pairwise_accuracy", "kendall_tau", "rankings", "rankings_skipped")
    return _folded("Grounding", "grounding step", _charts(rows, "ground_step", axis, marks, "ground", skip))


def agreement(files: RunFiles, fits: Fits) -> Multiples | None:
    """Return how well aggregated guidance ranks newly judged completions; None where no row says."""
    rows = _ground_rows(files)
    if not rows:
        return None
    axis = _axis(rows, "ground_step")
    marks = fits.marks(axis, grounding=True)
    found = [_of(key, rows, "ground_step", axis, marks, "agree") for key in LEVELS]
    charts = [one for one in found if one is not None]
    return Multiples("Agreement", "grounding step", charts, ()) if charts else None


def _ground_rows(files: RunFiles) -> list[Row]:
    return [row for row in files.rows("ground") if number(row.get("ground_step")) is not None]


def _axis(rows: Iterable[Row], key: str, start: float | None = None) -> Axis:
    steps = [value for row in rows if (value := number(row.get(key))) is not None]
    return Axis.bare(steps if start is None else [start, *steps])


def _charts(
    rows: Sequence[Row], x: str, axis: Axis, marks: Sequence[Tick], group: str, skip: Iterable[str]
) -> list[Chart]:
    """Return a chart for each number of the rows, in the order in which they name them."""
    names = dict.fromkeys(key for row in rows for key in row if key not in NOT_CURVES and key not in skip)
    found = [_of(name, rows, x, axis, marks, group) for name in list(names)[:MOST]]
    return [one for one in found if one is not None]


def _of(key: str, rows: Iterable[Row], x: str, axis: Axis, marks: Sequence[Tick], group: str) -> Chart | None:
    pairs = [(number(row.get(x)), number(row.get(key))) for row in rows]
    values = [(place, value) for place, value in pairs if place is not None and value is not None]
    if not values:
        return None
    title = f"{key}, validation" if group == "validation" else key
    curves = [Curve.of(key, values)]
    return chart(f"{group}/{key}", x, title, ABOUT.get(key, ""), axis, curves, marks, LEVELS.get(key))


def _folded(title: str, axis: str, charts: Sequence[Chart]) -> Multiples:
    moving = [one for one in charts if not one.constant]
    shown = moving[:FIRST]
    return Multiples(title, axis, shown, [one for one in charts if one not in shown])
