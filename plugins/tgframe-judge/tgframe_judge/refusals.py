"""Says what the endpoint refused, and what to do about it."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from tgframe import ModelError

if TYPE_CHECKING:
    from tgframe_judge.options import Judge

_DISTRIBUTION = "tgframe-judge"


def described(url: str) -> str:
    """Return how messages call the judge: the component, where it comes from, and whom it asks."""
    return f"preference 'judge' of {_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}: {url}"


def refusal(options: Judge, url: str, status: int, excerpt: str) -> ModelError:
    """Return the error for a status that no repetition can mend; ``excerpt`` holds no secret."""
    return ModelError(f"{described(url)} refused a request with status {status}: {excerpt}. {_remedy(options, status)}")


def _remedy(options: Judge, status: int) -> str:
    if status in (401, 403) and options.key_variable is None:
        return "Name the environment variable that holds the key under `preference.key_variable`."
    if status in (401, 403):
        return f"Check the key in the environment variable {options.key_variable!r}."
    if status == 404:
        return f"Check `preference.base_url`, and that it serves a model {options.model!r}."
    if status < 400:
        return "Set `preference.base_url` to where the endpoint itself is: redirections are not followed."
    return "Check `preference.model`, `temperature` and `max_tokens`, and that the texts fit the model's context."
