"""Discrete prompts for few-shot text classification: the task `prompt-classification`, its preference, its draws."""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

TGFRAME_INTERFACE = 1


@hookimpl
def tgframe_register_tasks(register: Callable[[str, str], None]) -> None:
    register("prompt-classification", "tgframe_prompts.task:PromptClassification")


@hookimpl
def tgframe_register_preferences(register: Callable[[str, str], None]) -> None:
    register("classification-gap", "tgframe_prompts.preference:ClassificationGap")


@hookimpl
def tgframe_register_data(register: Callable[[str, str], None]) -> None:
    register("few-shot", "tgframe_prompts.few_shot:FewShot")
