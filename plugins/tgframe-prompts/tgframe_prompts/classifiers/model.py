"""What a classifier is: a choice in the recipe, and the model that it becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from tgframe import Choice

if TYPE_CHECKING:
    from torch import Tensor

    from tgframe_prompts.inputs import Frame
    from tgframe_prompts.template import Template


class ClassifierModel(ABC):
    """A frozen model that gives every class a logit."""

    classes: int
    """``C``, known once :meth:`verbalize` was called."""
    pad_id: int

    @abstractmethod
    def verbalize(self, words: Mapping[str, str]) -> None:
        """Fix the classes: label to verbaliser. Raises :class:`~tgframe.ModelError` for words it cannot use."""

    @abstractmethod
    def frame(self, template: Template) -> Frame:
        """Return what inputs must look like. Raises :class:`~tgframe.ModelError` for templates it cannot use."""

    @abstractmethod
    def logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """Return float logits ``[M,C]`` of int64 ids ``[M,L]``, padded on the right.

        ``mask`` int64 ``[M,L]`` is None where nothing is padded; ``positions`` int64 ``[M]`` are the places to read.
        """


class Classifier(Choice[ClassifierModel]):
    """Which model classifies, and how a class is read from it."""

    choices: ClassVar[Mapping[str, str]] = {
        "masked-lm": "tgframe_prompts.classifiers.options:MaskedLM",
        "causal-lm": "tgframe_prompts.classifiers.options:CausalLM",
        "embedding": "tgframe_prompts.classifiers.options:Embedding",
    }
