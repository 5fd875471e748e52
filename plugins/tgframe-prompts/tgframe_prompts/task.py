"""The task `prompt-classification`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
from attrs.validators import ge, gt, in_, optional

from tgframe import DataSource, Specification, Task
from tgframe_prompts.classifiers.model import Classifier
from tgframe_prompts.presets import PresetName
from tgframe_prompts.template import parse

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_prompts.prompt_task import PromptTask


def _valid_template(instance: Any, attribute: attrs.Attribute[str], value: str) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise ValueError(f"it {error}") from error


def _valid_rows(instance: Any, attribute: attrs.Attribute[Any], value: int | str | None) -> None:
    if isinstance(value, int):
        gt(0)(instance, attribute, value)
    else:
        in_(("test_rows", None))(instance, attribute, value)


@attrs.frozen
class PromptClassification(Specification[Task]):
    """Find a prompt that makes a frozen classifier label texts rightly. The policy writes the prompt from nothing."""

    data: DataSource
    """Labelled texts: splits ``train`` and ``dev`` for judging prompts, and the split that is reported on."""
    classifier: Classifier
    """Which frozen model classifies: ``masked-lm``, ``causal-lm`` or ``embedding``."""
    preset: PresetName | None = attrs.field(default=None, validator=optional(in_(get_args(PresetName))))
    """Data set whose usual ``verbalizers`` (of the labels 0, 1, …) and ``template`` are taken where they are null."""
    text: str | tuple[str, ...] = ("text", "sentence")
    """Column of the texts, or several names of which each split has one."""
    label: str | tuple[str, ...] = ("label",)
    """Column of the labels, or several names of which each split has one."""
    verbalizers: dict[str, str] | None = None
    """Label to the word that stands for it, exactly as written, leading space included; null takes the preset's, and
    without a preset the labels themselves. Classes are in this order."""
    template: str | None = attrs.field(default=None, validator=optional(_valid_template))
    """How text, prompt and mask are joined; null takes the preset's, and without a preset ``{text}{prompt}{mask}``.
    Spaces are kept as written, prompts are pasted as they were decoded."""
    truncate: Literal["left", "right"] = attrs.field(default="right", validator=in_(("left", "right")))
    """The side on which a text is cut that is too long for the classifier; prompt, mask and template never are."""
    calibrate: Literal["none", "mean-logit"] = attrs.field(default="none", validator=in_(("none", "mean-logit")))
    """``mean-logit`` takes from each class its mean logit over the train texts under the same prompt, so that no class
    is favoured before a text is read."""
    test_rows: int | None = attrs.field(default=None, validator=optional(gt(0)))
    """Rows of the reported split that are used: a fixed sample with equally many of each class; null uses all."""
    best_rows: int | Literal["test_rows"] | None = attrs.field(default="test_rows", validator=_valid_rows)
    """Rows that are used in the same way for ``no_prompt`` and for the best prompts of every search: ``test_rows`` for
    as many as that says, null for all. The smaller sample is a part of the larger."""
    policy_prompts: int = attrs.field(default=16, validator=ge(1))
    """Prompts drawn from the policy for ``before`` and ``after``, and as fresh candidates at the end."""
    random_prompts: int = attrs.field(default=16, validator=ge(0))
    """Uniform prompts in ``random_mean``; 0 leaves it out."""
    prompt_length: int = attrs.field(default=5, validator=ge(1))
    """Tokens of a uniform prompt: as many as the sampler draws, for a fair comparison."""
    random_search: bool = True
    """Compare with random search at equal calls, which takes about as long as all judging of the run."""
    greedy_search: bool = False
    """Compare with greedy search, one token at a time, at equal calls, which takes as long again."""
    finalists: int = attrs.field(default=16, validator=ge(1))
    """Prompts, best by the preference on train, that are ranked on dev at the end."""
    top: int = attrs.field(default=3, validator=ge(1))
    """Finalists, best on dev, whose mean accuracy is reported."""

    def needs(self) -> frozenset[str]:
        return frozenset({"rollouts"})  # the evaluation draws prompts from the policy

    def provides(self) -> frozenset[str]:
        return frozenset({"classification"})

    def build(self, context: Context) -> PromptTask:
        from tgframe_prompts.prompt_task import PromptTask

        return PromptTask.load(self, context)
