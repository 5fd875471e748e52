"""The preference `judge`: its options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import attrs
from attrs.validators import ge, gt, min_len, optional

from tgframe import PreferenceSource, Specification

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_judge.source import JudgeSource


_REMEDY = "Put the key into an environment variable, and write that variable's name under `key_variable`."


def _is_an_address(instance: object, attribute: object, url: str) -> None:
    try:
        parts = urlsplit(url)
        reachable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that are none
        reachable = False
    if not reachable or any(mark.isspace() or not mark.isprintable() for mark in url):
        raise ValueError("must be a URL such as 'http://127.0.0.1:8000/v1', but is not (it is not shown).")
    if "@" in parts.netloc or any(mark in url for mark in "?#"):
        raise ValueError(
            "must hold no user, password, query or fragment, but does (it is not shown, since it may hold a secret). "
            f"{_REMEDY}"
        )


def _is_a_name(instance: object, attribute: object, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or _looks_like_a_key(name):
        raise ValueError(
            "must be the name of an environment variable, such as 'JUDGE_KEY', but is something else (it is not shown, "
            f"since it may be the key itself). {_REMEDY}"
        )


def _looks_like_a_key(name: str) -> bool:
    """Tell whether what would do as a name is rather a key: some begin with letters and hold no hyphen."""
    return len(name) >= 20 and any(mark.islower() for mark in name) and any(mark.isdigit() for mark in name)


@attrs.frozen
class Judge(Specification[PreferenceSource]):
    """Prefers what a language model behind an OpenAI-compatible HTTP endpoint prefers."""

    base_url: str = attrs.field(validator=_is_an_address, metadata={"secret": True})
    """Where the endpoint is, up to and including its version: http://127.0.0.1:8000/v1. Holds no credentials."""
    model: str = attrs.field(validator=min_len(1))
    """The judge's name at the endpoint."""
    key_variable: str | None = attrs.field(default=None, validator=optional(_is_a_name), metadata={"secret": True})
    """NAME of the environment variable that holds the API key, never the key itself; null sends none."""
    criterion: str = attrs.field(
        default="The better completion answers the prompt more correctly, more helpfully and more clearly. "
        "Length alone is no merit.",
        validator=min_len(1),
    )
    """What makes one completion better than another, in words for the judge."""
    mode: Literal["listwise", "pairwise"] = "listwise"
    """Whether the judge ranks all completions of a prompt in one reply, or names the better one of two at a time."""
    both_orders: bool = True
    """Ask everything twice, in a seeded order and in its reverse, and average: a judge that prefers a place, whatever
    stands there, then ties. Costs twice as much."""
    rounds: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """How often each completion is shown. Pairwise: so many seeded matchings, null for all pairs. Listwise: so many
    seeded orders (or divisions into windows); null for as many as it takes to meet as many others as there are."""
    window: int | None = attrs.field(default=None, validator=optional(ge(3)))
    """Listwise: the most completions in one question. A larger group is divided into windows by a seeded shuffle, anew
    in every round. Null shows the whole group."""
    temperature: float | None = attrs.field(default=0.0, validator=optional(ge(0.0)))  # type: ignore[arg-type]  # from the default
    """Temperature of the judge; null leaves it to the endpoint."""
    max_tokens: int | None = attrs.field(default=1024, validator=optional(ge(1)))  # type: ignore[arg-type]  # from the default
    """Most tokens of a reply; null leaves it to the endpoint. A reply that is cut off counts as unparsed."""
    concurrency: int = attrs.field(default=8, validator=ge(1))
    """Most requests under way at a time."""
    timeout: float = attrs.field(default=60.0, validator=gt(0.0))
    """Seconds that one request may take as a whole."""
    retries: int = attrs.field(default=4, validator=ge(0))
    """How often a question is asked again when its request failed or its reply could not be parsed."""
    backoff: float = attrs.field(default=1.0, validator=ge(0.0))
    """Seconds before a failed request is repeated; doubles with every repetition, up to 60. The server's Retry-After
    prolongs it, up to 60 as well."""
    on_error: Literal["missing", "stop"] = "missing"
    """What a question without an answer does when all retries are used up: its judgments are missing, or the run
    stops."""
    give_up_after: int = attrs.field(default=50, validator=ge(1))
    """Requests in a row without a usable answer that stop the run in any case. Keep it well above `concurrency`."""
    price_in: float = attrs.field(default=0.0, validator=ge(0.0))
    """Price of a million prompt tokens, in any currency, for the running cost."""
    price_out: float = attrs.field(default=0.0, validator=ge(0.0))
    """Price of a million completion tokens."""

    def __attrs_post_init__(self) -> None:
        if self.mode == "pairwise" and self.window is not None:
            raise ValueError("`window` must be null when `mode` is 'pairwise': a pair is shown at a time. Remove it.")

    def provides(self) -> frozenset[str]:
        return frozenset({"rank"})

    def build(self, context: Context) -> JudgeSource:
        from tgframe_judge.source import JudgeSource

        return JudgeSource(self, context.cache_dir)
