"""A page as its readers have it: elements, texts and exact numbers."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import attrs

from tgframe.report import write_report

APART = frozenset({"td", "th", "dt", "dd", "p", "li"})
VOID = frozenset({"meta", "link", "input", "br"})


@attrs.define
class Element:
    """One element with the text inside it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()


class Parsed(HTMLParser):
    """All elements of a page, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attributes})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"{tag} closes {self._open[-1]}"
        self._open.pop()
        if tag in APART:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        inside = self._open[-1:] if self._open and self._open[-1].tag in ("script", "style") else self._open
        for element in inside:
            element.text += data

    def find(self, tag: str, style: str = "") -> list[Element]:
        """Return elements by tag and class."""
        return [one for one in self.elements if one.tag == tag and (not style or style in one.classes)]

    def numbers(self) -> list[float]:
        """Return every exact number of the page."""
        return [float(one.attributes["value"]) for one in self.find("data") if one.attributes["value"]]

    @property
    def text(self) -> str:
        """What can be read."""
        (body,) = self.find("body")
        return body.text


def people(*texts: str) -> list[str]:
    """Return numbers as the page writes them, with minus signs."""
    return [text.replace("-", "\N{MINUS SIGN}") for text in texts]


def page_of(folder: Path) -> Parsed:
    """Write the page of a folder and return it."""
    return Parsed(write_report(folder).read_text(encoding="utf-8"))
