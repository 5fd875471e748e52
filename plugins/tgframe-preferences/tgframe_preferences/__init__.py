"""Prompts with given completions and judgments: the task `preferences`."""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

TGFRAME_INTERFACE = 1


@hookimpl
def tgframe_register_tasks(register: Callable[[str, str], None]) -> None:
    register("preferences", "tgframe_preferences.task:PreferenceRows")
