"""A plugin in one file, for tests: parts of every kind that do nothing, with options of every type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import attrs
from attrs.validators import ge, gt, in_, max_len, min_len

from tgframe import (
    Aggregator,
    Choice,
    DataSource,
    GuidanceModel,
    LMObjective,
    Policy,
    PreferenceSource,
    Sampler,
    Specification,
    Task,
    hookimpl,
)
from tgframe.interfaces.models import ModelName

CAUSAL = ModelName("embedded/causal")
KINDS = {
    "tasks": {"rows": "Rows"},
    "policies": {"toy": "Toy"},
    "samplers": {"draw": "Draw", "picky": "Picky"},
    "preferences": {"count": "Count", "ranks": "Ranks"},
    "guidance": {"worth": "Worth", "ratio": "Ratio"},
    "aggregators": {"soft": "Soft", "plain": "Plain", "gone": "Gone"},
    "objectives": {"dense": "Dense", "bandit": "Bandit", "free": "Free"},
    "data": {"lines": "Lines"},
}


def _hook(components: Mapping[str, str]) -> Any:
    def register_all(register: Any) -> None:
        for name, component in components.items():
            register(name, f"parts:{component}")

    return hookimpl(register_all)


tgframe_register_tasks = _hook(KINDS["tasks"])
tgframe_register_policies = _hook(KINDS["policies"])
tgframe_register_samplers = _hook(KINDS["samplers"])
tgframe_register_preferences = _hook(KINDS["preferences"])
tgframe_register_guidance = _hook(KINDS["guidance"])
tgframe_register_aggregators = _hook(KINDS["aggregators"])
tgframe_register_objectives = _hook(KINDS["objectives"])
tgframe_register_data = _hook(KINDS["data"])


@attrs.frozen
class Lines(DataSource):
    """Lines of files."""

    files: tuple[Path, ...] = ()
    """The files."""

    def load(self, context: Any) -> Any:
        raise NotImplementedError


class Classifier(Choice["Classifier"]):
    """Says what a text is."""

    choices: ClassVar[Mapping[str, str]] = {
        "words": f"{__name__}:Words",
        "model": f"{__name__}:Neural",
        "gone": "not_there:Gone",
        "odd": f"{__name__}:Lines",
    }


@attrs.frozen
class Words(Classifier):
    """Counts words."""

    limit: int = 3
    """How many."""


@attrs.frozen
class Neural(Classifier):
    """Asks a model."""

    model: ModelName
    """Which one."""


@attrs.frozen
class Split:
    """A nested group of options."""

    share: float = attrs.field(default=0.5, validator=[ge(0), attrs.validators.le(1)])
    """Share of the rows."""
    names: dict[str, int] = attrs.field(factory=dict)
    """Rows by name."""


@attrs.frozen
class Rows(Specification[Task]):
    """A task of rows."""

    classifier: Classifier = attrs.field(factory=Words)
    """What judges."""
    data: DataSource | None = None
    """Where rows come from."""
    split: Split = attrs.field(factory=Split)
    """How they are split."""
    labels: tuple[str, ...] = ()
    """What the labels are called."""
    folder: Path | None = None
    """Somewhere."""
    pair: tuple[int, float] = (1, 2.0)
    """Two numbers."""
    either: int | str = 1
    """A number or text."""
    targets: bool = False
    """Rows have targets."""
    evaluates: bool = False
    """Guidance is evaluated."""
    extra: Any = None
    """Whatever."""

    def provides(self) -> frozenset[str]:
        offers = {"targets": self.targets, "guidance-evaluation": self.evaluates}
        return frozenset(name for name, there in offers.items() if there)


@attrs.frozen
class Toy(Specification[Policy]):
    """A policy."""

    model: ModelName = CAUSAL
    """Which model."""


@attrs.frozen
class Draw(Specification[Sampler]):
    """Draws."""

    top_k: int = attrs.field(default=10, validator=gt(0))
    """How many tokens."""
    max_new_tokens: int = 5
    """How long."""
    exact: bool = False
    """Whether draws are exact."""

    def provides(self) -> frozenset[str]:
        return frozenset({"exact"} if self.exact else ())


@attrs.frozen
class Picky(Specification[Sampler]):
    """Needs guidance to pick."""

    base: Sampler | None = None
    """Draws the candidates."""

    def needs(self) -> frozenset[str]:
        return frozenset({"guidance", "aggregator"})


@attrs.frozen
class Count(Specification[PreferenceSource]):
    """Scores."""

    ceiling: int = attrs.field(default=50, validator=gt(0))
    """Highest count."""
    weights: tuple[float, ...] = attrs.field(default=(1.0,), validator=[min_len(1), max_len(3)])
    """Some weights."""

    def provides(self) -> frozenset[str]:
        return frozenset({"score"})


@attrs.frozen
class Ranks(Specification[PreferenceSource]):
    """Ranks only."""

    def provides(self) -> frozenset[str]:
        return frozenset({"rank"})


@attrs.frozen
class Worth(Specification[GuidanceModel]):
    """Learned values."""

    model: ModelName = CAUSAL
    """Which model."""
    bound: Literal["softplus", "sigmoid"] = "softplus"
    """How values are bounded."""


@attrs.frozen
class Ratio(GuidanceModel):
    """Implicit values."""

    differentiable = True

    def needs(self) -> frozenset[str]:
        return frozenset({"policy_logprobs", "reference_logprobs"})

    def values(self, step: Any) -> Any:
        raise NotImplementedError


@attrs.frozen
class Soft(Aggregator):
    """A soft maximum."""

    temperature: float = attrs.field(default=1.0, validator=gt(0))
    """How soft."""
    length: str = attrs.field(default="group", validator=in_(["group", "none"]))
    """What length does."""
    even: int = attrs.field(default=2)
    """An even number."""

    @even.validator
    def _even(self, attribute: Any, value: int) -> None:
        if value % 2:
            raise ValueError("it must be even")

    def __attrs_post_init__(self) -> None:
        if self.length == "none" and self.temperature == 3.0:
            raise ValueError("`length: none` and a temperature of 3 exclude each other.")

    def aggregate(self, values: Any, mask: Any) -> Any:
        raise NotImplementedError

    def length_effect(self) -> Any:
        return "biased"


@attrs.frozen
class Plain(Aggregator):
    """A sum."""

    def aggregate(self, values: Any, mask: Any) -> Any:
        raise NotImplementedError

    def length_effect(self) -> Any:
        return "sum"


@attrs.frozen
class Dense(Specification[LMObjective]):
    """Uses values."""

    entropy: float = 0.1
    """Weight of the entropy."""

    def needs(self) -> frozenset[str]:
        return frozenset({"guidance", "policy_logprobs"})


@attrs.frozen
class Bandit(Specification[LMObjective]):
    """Uses preferences."""

    def needs(self) -> frozenset[str]:
        return frozenset({"preferences", "policy_logprobs"})


@attrs.frozen
class Free(Specification[LMObjective]):
    """Needs, and accepts, what its options say."""

    need: tuple[str, ...] = ()
    """Needs."""
    accept: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Accepts."""
    stream: DataSource | None = None
    """A second stream."""

    def needs(self) -> frozenset[str]:
        return frozenset(self.need)

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return {key: frozenset(capabilities) for key, capabilities in self.accept.items()}
