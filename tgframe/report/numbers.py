"""Numbers as people read them. The exact value stands beside each in the page's source."""

from __future__ import annotations

from tgframe.report.reading import number

NOTHING = "\N{EN DASH}"
"""In place of a number that there is not."""


def minus(text: str) -> str:
    """Return a number's text with a minus sign as long as a plus."""
    return text.replace("-", "\N{MINUS SIGN}")


def plain(value: float | None) -> str:
    """Return four significant digits, or a whole number with its thousands apart."""
    if value is None:
        return NOTHING
    if abs(value) >= 1000 or value == int(value):
        return minus(f"{value:,.0f}")
    return minus(f"{value:.4g}")


def score(value: float | None) -> str:
    """Return a score with four decimals, so that a column of them lines up."""
    if value is None or abs(value) >= 100:
        return plain(value)
    return minus(f"{value:.4f}")


def signed(value: float | None) -> str:
    """Return a difference with its sign."""
    if value is None:
        return NOTHING
    return f"{'+' if value > 0 else ''}{score(value)}"


def probability(value: float | None) -> str:
    """Return a p-value with at most three significant digits."""
    return NOTHING if value is None else f"{value:.2g}"


def duration(seconds: float | None) -> str:
    """Return seconds in the units that people would say them in."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float | None) -> str:
    """Return bytes in MiB or GiB."""
    if count is None:
        return NOTHING
    mebibytes = count / 2**20
    return f"{mebibytes:,.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.2f} GiB"


def as_written(value: object) -> str:
    """Return a number as it stands in the file."""
    found = number(value)
    if found is None:
        return NOTHING
    return minus(repr(int(found) if found == int(found) and abs(found) < 1e15 else found))


def exact(value: float | None) -> str:
    """Return a number for machines, empty where there is none."""
    return "" if value is None else repr(value)


def decimals(step: float) -> int:
    """Return how many decimals tell multiples of ``step`` apart, at most eight."""
    return next((places for places in range(8) if abs(round(step, places) - step) < step * 1e-6), 8)
