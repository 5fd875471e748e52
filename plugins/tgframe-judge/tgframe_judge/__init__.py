"""A language model as judge, behind any OpenAI-compatible HTTP endpoint.

Importing this module registers nothing heavy: the component is loaded when a recipe names it.
"""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

TGFRAME_INTERFACE = 1

Register = Callable[[str, str], None]


@hookimpl
def tgframe_register_preferences(register: Register) -> None:
    register("judge", "tgframe_judge.options:Judge")
