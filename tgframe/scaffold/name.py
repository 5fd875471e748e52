"""What a new plugin is called, in each place where it has a name."""

from __future__ import annotations

import builtins
import keyword
import re

import attrs

from tgframe.errors import PluginError

PREFIX = "tgframe-"
LONGEST = 24
"""With longer names, lines of the templates would grow longer than 120 characters."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@attrs.frozen
class Name:
    """The name of a component, and all that follows from it."""

    component: str
    """As recipes write it: ``soft-vote``."""

    @property
    def distribution(self) -> str:
        """As pip knows it: ``tgframe-soft-vote``."""
        return PREFIX + self.component

    @property
    def package(self) -> str:
        """As Python imports it: ``tgframe_soft_vote``."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class of the component: ``SoftVote``."""
        return "".join(part.capitalize() for part in self.component.split("-"))


def parse_name(text: str) -> Name:
    """Return the name that a person typed, with or without ``tgframe-``. Raises PluginError for one that cannot be."""
    component = text.removeprefix(PREFIX)
    if not _NAME.fullmatch(component):
        raise PluginError(
            "`NAME` must be lower-case letters, digits and single hyphens, and start with a letter, "
            f"but is {text!r} instead.{_written_well(component)}"
        )
    if len(component) > LONGEST:
        raise PluginError(
            f"`NAME` must have at most {LONGEST} characters, but {component!r} has {len(component)} instead."
        )
    name = Name(component)
    if keyword.iskeyword(component) or keyword.iskeyword(name.class_name) or hasattr(builtins, name.class_name):
        raise PluginError(
            f"`NAME` must not be a word of Python, but is {component!r} instead. "
            f"Choose another, such as 'my-{component}'."
        )
    return name


def _written_well(text: str) -> str:
    close = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")
    return f" Try {close!r}." if close else ""
