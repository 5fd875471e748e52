"""The style sheet: contrast in light and dark, no address in it or in the script."""

from __future__ import annotations

import re
from importlib import resources

import pytest

TEMPLATES = resources.files("tgframe.report") / "templates"
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")
BLOCKS = [
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)
]
LIGHT, DARK = BLOCKS[0], {**BLOCKS[0], **BLOCKS[1]}
TOKENS = [f"{letter}{level}" for letter, levels in (("p", "1234"), ("n", "1234"), ("s", "0123456")) for level in levels]


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_it_should_be() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read(colours: dict[str, str]) -> None:
    pairs = [("ink", name) for name in ("paper", "card", "faint", *TOKENS)]
    pairs += [(text, ground) for text in ("soft", "accent", "second", "warn") for ground in ("paper", "card")]
    pairs += [("warn", "warn-soft"), ("soft", "faint"), ("paper", "ink"), ("paper", "accent")]
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    assert {pair: round(value, 2) for pair, value in low.items() if value < 4.5} == {}


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_more_guidance_is_more_colour(colours: dict[str, str]) -> None:
    for letter in "pns":
        steps = [contrast(colours[name], colours["card"]) for name in TOKENS if name[0] == letter]
        assert steps == sorted(steps)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_underlines_can_be_seen(colours: dict[str, str]) -> None:
    assert contrast(colours["p"], colours["card"]) > 3
    assert contrast(colours["n"], colours["card"]) > 3


def test_thickness_tells_what_colour_tells() -> None:
    for letter in "pns":
        found = re.findall(rf"\.{letter}(\d) {{[^}}]*border-bottom: ([\d.]+)px", STYLE)
        widths = [float(width) for _, width in sorted(found)]
        assert len(widths) >= 4
        assert widths == sorted(set(widths))


def test_nothing_is_loaded() -> None:
    for name in (
        "style.css",
        "page.js",
        "page.html",
        "run.html",
        "swap.html",
        "chart.html",
        "tokens.html",
        "written.html",
    ):
        text = (TEMPLATES / name).read_text(encoding="utf-8")
        assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp|innerHTML|document\.write|\beval\s*\(", text), name
        assert "| safe" not in text
