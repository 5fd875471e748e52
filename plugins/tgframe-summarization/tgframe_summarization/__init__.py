"""Abstractive summarization: the task `summarization`, and the preferences that compare a summary with targets."""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

TGFRAME_INTERFACE = 1


@hookimpl
def tgframe_register_tasks(register: Callable[[str, str], None]) -> None:
    register("summarization", "tgframe_summarization.task:Summarization")


@hookimpl
def tgframe_register_preferences(register: Callable[[str, str], None]) -> None:
    register("rouge", "tgframe_summarization.preferences.rouge:Rouge")
    register("meteor", "tgframe_summarization.preferences.meteor:Meteor")
    register("embedding-similarity", "tgframe_summarization.preferences.embedding:EmbeddingSimilarity")
