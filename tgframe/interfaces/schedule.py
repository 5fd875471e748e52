"""What the engine is told: how long, how often, how much. Recipe sections that belong to no plugin."""

from __future__ import annotations

from typing import Literal, get_args

import attrs
from attrs.validators import and_, ge, gt, in_, lt, matches_re, max_len, min_len, optional

from tgframe.interfaces.models import ModelName
from tgframe.interfaces.sampler import Sampler


@attrs.frozen
class Plateau:
    """Lowers the learning rate when validation no longer improves (``ReduceLROnPlateau``)."""

    factor: float = attrs.field(default=0.8, validator=and_(gt(0.0), lt(1.0)))
    """Multiplies the learning rate."""
    patience: int = attrs.field(default=2, validator=ge(0))
    """Validations without improvement that are waited for."""
    min_lr: float = attrs.field(default=1e-6, validator=ge(0.0))
    """The learning rate never falls below this."""


Decay = Literal["none", "linear", "cosine"]


@attrs.frozen
class Optimizer:
    """One optimizer: for the policy with all that is trained beside it, or for the guidance."""

    type: Literal["adam", "adamw"] = attrs.field(default="adam", validator=in_(("adam", "adamw")))
    """``adam`` or ``adamw``."""
    lr: float = attrs.field(default=5e-5, validator=gt(0.0))
    """Learning rate."""
    betas: tuple[float, float] = attrs.field(default=(0.9, 0.999), validator=and_(min_len(2), max_len(2)))
    """Decay rates of the moment estimates."""
    eps: float = attrs.field(default=1e-8, validator=gt(0.0))
    """Added to the denominator."""
    weight_decay: float = attrs.field(default=0.0, validator=ge(0.0))
    """L2 penalty (adam) or decoupled decay (adamw)."""
    clip: float | None = attrs.field(default=5.0, validator=optional(gt(0.0)))  # type: ignore[arg-type]  # from the default
    """Norm to which gradients are clipped; null leaves them."""
    plateau: Plateau | None = None
    """Learning-rate decay on validation plateaus; null has none."""
    warmup: int = attrs.field(default=0, validator=ge(0))
    """Updates in which the learning rate grows from 0, in equal steps."""
    decay: Decay = attrs.field(default="none", validator=in_(get_args(Decay)))
    """How the learning rate falls to 0 afterwards, at the last update that the schedule asks for."""

    def __attrs_post_init__(self) -> None:
        if self.plateau is not None and (self.warmup or self.decay != "none"):
            raise ValueError("`plateau` must be null where there is `warmup` or `decay`: one of them sets the rate.")


@attrs.frozen
class Optimizers:
    """The engine's two optimizers."""

    policy: Optimizer = attrs.field(factory=Optimizer)
    """Improvement: the policy, the objective's own parameters, jointly trained guidance."""
    guidance: Optimizer = attrs.field(factory=Optimizer)
    """Grounding: the guidance model. Starts afresh at every grounding."""


@attrs.frozen
class Improve:
    """One improvement step."""

    prompts: int = attrs.field(default=1, validator=ge(1))
    """Prompts a step (B), over all processes of the run: each takes an equal share."""
    completions: int = attrs.field(default=16, validator=ge(1))
    """Completions a prompt (K)."""
    accumulate: int = attrs.field(default=1, validator=ge(1))
    """Parts into which the prompts of a step are divided, in each process: their gradients are added up before the
    update, which takes as much less memory. What an objective compares across prompts, it compares within a part."""

    def __attrs_post_init__(self) -> None:
        if self.prompts % self.accumulate:
            raise ValueError(f"`accumulate` must divide `prompts` ({self.prompts}), but is {self.accumulate} instead.")


@attrs.frozen
class Ranking:
    """Which rankings are learned from the completions of one prompt."""

    size: int | None = attrs.field(default=None, validator=optional(ge(2)))
    """Completions in one ranking; null ranks all of them at once."""
    count: int = attrs.field(default=64, validator=ge(1))
    """Sub-rankings drawn a prompt and step, where ``size`` is set."""


@attrs.frozen
class GroundValidate:
    """Validation of the fit on newly sampled, newly judged completions."""

    every: int = attrs.field(default=100, validator=ge(1))
    """Grounding steps between validations."""
    batches: int = attrs.field(default=1, validator=ge(1))
    """Batches a validation."""
    split: str = "dev"
    """Where its prompts (and what they are judged on) come from."""
    patience: int | None = attrs.field(default=7, validator=optional(ge(1)))  # type: ignore[arg-type]  # from the default
    """Validations without improvement after which the fit stops; null never stops early."""


@attrs.frozen
class Ground:
    """When and how the guidance is fitted to the preferences. The first fit always comes before the first step."""

    steps: int = attrs.field(default=100, validator=ge(1))
    """Grounding steps a fit."""
    every: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Improvement steps between fits; null fits once."""
    until: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Last improvement step after which guidance is fitted again; null means no such limit."""
    prompts: int = attrs.field(default=1, validator=ge(1))
    """Prompts a grounding step (B), over all processes of the run: each takes an equal share."""
    completions: int = attrs.field(default=16, validator=ge(2))
    """Completions a prompt (K), all of them judged."""
    ranking: Ranking = attrs.field(factory=Ranking)
    """Sub-rankings learned from those completions."""
    sampler: Sampler | None = None
    """Draws the completions to be judged; null takes the recipe's sampler."""
    pool: int = attrs.field(default=0, validator=ge(0))
    """Earlier judged completions a prompt that are ranked together with the new ones; they cost no judgment. Needs
    judgments that compare over time: scores or labels."""
    updates: int = attrs.field(default=1, validator=ge(1))
    """Updates of the guidance a step, each on sub-rankings of its own."""
    overlap: bool = False
    """Have the completions of the next step judged while the guidance is fitted on those of this one: for a source that
    waits for others, such as a judge on a server; one that computes here would share its cores with the fit. A sampler
    that asks the guidance, or hears of judgments, then draws as it would have drawn a step before. What is judged when
    a fit ends early is lost."""
    validate: GroundValidate | None = None
    """Validation, early stop and best-state reload of the fit; null keeps the last state."""


@attrs.frozen
class Evaluate:
    """Validation of the policy with the true preference, and what follows from it."""

    every: int = attrs.field(default=100, validator=ge(1))
    """Improvement steps between validations."""
    prompts: int = attrs.field(default=1, validator=ge(1))
    """Validation prompts."""
    completions: int = attrs.field(default=16, validator=ge(1))
    """Completions a validation prompt."""
    split: str = "dev"
    """Where the validation prompts come from."""
    patience: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Validations without improvement after which the run stops improving; null never stops early."""
    keep: Literal["best", "last"] = attrs.field(default="last", validator=in_(("best", "last")))
    """Which policy the run ends with."""


@attrs.frozen
class Budget:
    """What training may cost. It ends before the first step that finds any of this spent; evaluation comes on top."""

    preference_calls: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Judgments paid for, in the unit of the preference; null means no such limit."""
    seconds: float | None = attrs.field(default=None, validator=optional(gt(0.0)))
    """Seconds of training; null means no such limit."""
    sampled_tokens: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Tokens of completions that samplers returned; null means no such limit."""


@attrs.frozen
class Schedule:
    """How long, how often, how much."""

    steps: int = attrs.field(validator=ge(0))
    """Improvement steps; 0 fits the guidance alone, without an objective."""
    improve: Improve = attrs.field(factory=Improve)
    """One improvement step."""
    ground: Ground | None = None
    """Grounding; null where no guidance is fitted."""
    evaluate: Evaluate | None = None
    """Validation during training; null for none."""
    budget: Budget = attrs.field(factory=Budget)
    """What training may cost at most."""
    test_split: str = "test"
    """The split that the result is reported on."""


@attrs.frozen
class Reference:
    """The reference model that log-ratios and KL terms compare with: in evaluation mode, never with gradient."""

    type: Literal["initial", "adapters-off", "model"] = attrs.field(
        default="initial", validator=in_(("initial", "adapters-off", "model"))
    )
    """``initial``: a copy of the policy as it starts (of a policy with ``lora``, a copy of the adapters alone);
    ``adapters-off``: the policy's own network with its adapters switched off, which needs ``policy.lora`` and says the
    same as ``initial`` without any copy; ``model``: another model of the policy's vocabulary."""
    model: ModelName | None = None
    """Name of that other model; only with ``type: model``."""


@attrs.frozen
class RuntimeOptions:
    """The machine."""

    seed: int = attrs.field(default=0, validator=ge(0))
    """Seeds everything: data, models, samplers, preferences, each by a generator of its own."""
    device: str = attrs.field(default="auto", validator=matches_re(r"auto|cpu|cuda(:\d+)?"))
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``. Of several processes, each takes a GPU with ``auto`` and ``cuda``."""
    precision: Literal["auto", "fp32", "bf16"] = attrs.field(default="auto", validator=in_(("auto", "fp32", "bf16")))
    """Of forward passes; ``auto`` is bf16 where a GPU has it, else fp32. Weights stay fp32."""
    checkpoint_every: int | None = attrs.field(default=None, validator=optional(ge(1)))
    """Steps, of improvement and grounding together, between checkpoints; null writes only the one at the end."""
    keep_checkpoints: int = attrs.field(default=2, validator=ge(1))
    """Newest checkpoints that are kept."""
    keep_best: bool = False
    """Keep, beside these, the last checkpoint before the best validation (``schedule.evaluate``)."""
    tensorboard: bool = True
    """Write TensorBoard curves."""
    samples_every: int = attrs.field(default=50, validator=ge(1))
    """Improvement or grounding steps between rows of samples.jsonl."""
