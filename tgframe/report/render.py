"""From templates to one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tgframe.report import numbers

CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
"""Control characters, which HTML does not have, and the signs that stand for them."""


def render(template: str, view: Mapping[str, Any]) -> str:
    """Return the page. Every text of ``view`` is escaped; only the style sheet and the script are taken as they are."""
    style, script = (_resource(name) for name in ("style.css", "page.js"))
    html = (
        _environment()
        .get_template(template)
        .render(**view, style=Markup(style), script=Markup(script), policy=content_policy(script))
    )
    return _clean(html)


def content_policy(script: str) -> str:
    """Return the Content-Security-Policy that lets this one script run and nothing be loaded."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tgframe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("plain", "score", "signed", "probability", "exact")
    environment.filters |= {name: getattr(numbers, name) for name in names}
    return environment


def _resource(name: str) -> str:
    return (resources.files("tgframe.report") / "templates" / name).read_text(encoding="utf-8")


def _clean(html: str) -> str:
    """Return text that can be written as UTF-8 and read as HTML."""
    whole = html.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.translate(CONTROLS)
