"""What the page of a run shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from tgframe.report import curves
from tgframe.report.choose import best_places, choose
from tgframe.report.completions import Card, Completion, card, completion_of, guidance_values
from tgframe.report.drift import follow, places, raw_completion
from tgframe.report.fits import Fits
from tgframe.report.index import Entry, Place
from tgframe.report.palette import Palette
from tgframe.report.reading import Row, mapping, mean, number
from tgframe.report.results import cost_facts, metrics_of, scores_of, time_parts
from tgframe.report.run_files import RunFiles
from tgframe.report.watch import watch
from tgframe.report.written import written

BEST = 5
"""Outputs that are shown first."""
FITS = 40
"""Rows of the table of fits."""
LONGEST = 100_000
"""Characters of a file that are shown."""
ORDER = ("task", "sampler", "preference", "guidance", "aggregator", "objective", "policy")
"""Components as the loop goes through them."""


@attrs.frozen
class FitRow:
    """The mean of each agreement over one fit."""

    fit: int
    step: int
    steps: int
    accuracy: float | None
    tau: float | None
    preference: float | None
    best: float | None


@attrs.frozen
class Output:
    """One of the best outputs."""

    entry: Entry
    fit: int
    completion: Completion


def run_page(files: RunFiles) -> dict[str, Any]:
    """Return what templates/run.html needs."""
    fits = Fits.of(files.rows("ground"))
    improvement, grounding = curves.improvement(files, fits), curves.grounding(files, fits)
    agreement, watched = curves.agreement(files, fits), watch(files, fits)
    multiples = [one for one in (improvement, grounding) if one is not None]
    shown = [chart for one in [*multiples, agreement] if one is not None for chart in one.charts]
    return {
        **_head(files),
        **_samples(files, fits),
        "metrics": metrics_of(scores_of(files)),
        "multiples": multiples,
        "agreement": agreement,
        "fits": _fit_rows(files)[:FITS],
        "watch": watched,
        "written": written(files.evaluations),
        "data": {chart.key: chart.data() for chart in [*shown, *watched.charts]},
    }


def _head(files: RunFiles) -> dict[str, Any]:
    manifest, result = files.manifest, files.result
    cost = mapping((result or {}).get("cost"))
    return {
        "title": files.folder.resolve().name,
        "finished": result is not None,
        "split": (result or {}).get("split"),
        "facts": _facts(files),
        "components": _components(mapping(manifest.get("components"))),
        "notices": files.notices,
        "missing": _missing(files),
        "cost": cost_facts(cost),
        "times": time_parts(cost),
        "recipe": None if files.recipe is None else _cut(files.recipe),
        "manifest": _pretty(manifest) if manifest else None,
        "details": _pretty(result["details"]) if result and result.get("details") else None,
    }


def _facts(files: RunFiles) -> list[tuple[str, str]]:
    """Return what a reader wants to know of a run before its result."""
    manifest = files.manifest
    packages = mapping(manifest.get("packages"))
    versions = [f"{name} {packages[name]}" for name in ("tgframe", "torch", "transformers") if name in packages]
    rows = mapping(mapping(manifest.get("data")).get("rows"))
    facts = [
        ("seed", manifest.get("seed")),
        ("device", " ".join(str(manifest[key]) for key in ("device", "precision") if manifest.get(key))),
        ("versions", ", ".join([*versions, *(f"Python {manifest[key]}" for key in ("python",) if manifest.get(key))])),
        ("data", ", ".join(f"{count} {split}" for split, count in rows.items())),
        ("training ended early", _spent((files.result or {}).get("budget_spent"))),
        ("last written", files.written),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _spent(budget: Any) -> str:
    return f"its budget of {str(budget).replace('_', ' ')} was spent" if budget else ""


def _components(components: Row) -> list[tuple[str, str, str]]:
    """Return key, name and origin of every component, as the loop goes through them."""
    keys = sorted(components, key=lambda key: ORDER.index(root) if (root := key.split(".")[0]) in ORDER else len(ORDER))
    named = [(key, mapping(components[key])) for key in keys]
    return [
        (key, str(one.get("name", "")), f"{one.get('distribution', '')} {one.get('version', '')}") for key, one in named
    ]


def _missing(files: RunFiles) -> list[str]:
    """Return the files that a finished run has and this folder does not."""
    found = {
        "recipe.yaml": files.recipe is not None,
        "manifest.json": bool(files.manifest),
        "metrics.jsonl": bool(files.metrics),
        "samples.jsonl": bool(files.samples.entries),
    }
    return [name for name, there in found.items() if not there]


def _samples(files: RunFiles, fits: Fits) -> dict[str, Any]:
    """Return the chosen rows as cards, the best outputs, and the texts that occur under several fits."""
    index = files.samples
    chosen = choose(index)
    best, followed = best_places(index, BEST), places(index, fits)
    palette = Palette.of(value for row in chosen.rows.values() for value in guidance_values(row))
    cards = [
        card(place, index.entries[place], row, fits.after(index.entries[place].updates), palette)
        for place, row in chosen.rows.items()
    ]
    return {
        "chosen": chosen,
        "palette": palette,
        "cards": sorted(cards, key=_best_first),
        "best": [_output(files, fits, place, palette) for place in best],
        "followed": follow(index, fits, followed, palette),
        "grounded": bool(fits.fits),
        "phases": sorted({one.entry.phase for one in cards}),
    }


def _best_first(card: Card) -> tuple[bool, float, int]:
    """Judged rows by their best output, then the others; the later of equal ones first."""
    best = card.entry.best
    return (best is None, -(best or 0.0), -card.place)


def _output(files: RunFiles, fits: Fits, place: Place, palette: Palette) -> Output:
    entry = files.samples.entries[place[0]]
    return Output(entry, fits.after(entry.updates), completion_of(raw_completion(files.samples, place), palette))


def _fit_rows(files: RunFiles) -> list[FitRow]:
    """Return the means of each fit."""
    by_fit: dict[float, list[Row]] = {}
    for row in files.rows("ground"):
        if (fit := number(row.get("fit"))) is not None and number(row.get("ground_step")) is not None:
            by_fit.setdefault(fit, []).append(row)
    return [_fit_row(int(fit), rows) for fit, rows in sorted(by_fit.items())]


def _fit_row(fit: int, rows: Sequence[Row]) -> FitRow:
    def average(key: str) -> float | None:
        return mean(number(row.get(key)) for row in rows)

    best = _highest(number(row.get("preference_best")) for row in rows)
    step = int(number(rows[0].get("step")) or 0)
    return FitRow(
        fit, step, len(rows), average("pairwise_accuracy"), average("kendall_tau"), average("preference_mean"), best
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _pretty(data: Any) -> str:
    return _cut(json.dumps(data, indent=2, ensure_ascii=False))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters in the file"
