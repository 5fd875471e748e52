"""The classifiers that a recipe can name, and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs.validators import gt, in_, optional

from tgframe import ModelName
from tgframe_prompts.classifiers.model import Classifier

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_prompts.classifiers.causal import CausalClassifier
    from tgframe_prompts.classifiers.embedding import EmbeddingClassifier
    from tgframe_prompts.classifiers.masked import MaskedClassifier


@attrs.frozen
class MaskedLM(Classifier):
    """Reads a class from the word that a masked language model puts at the mask."""

    model: ModelName
    """Hub name, folder, or ``prefix/name`` of a masked language model."""
    max_length: int | None = attrs.field(default=None, validator=optional(gt(0)))
    """Longest input in tokens; null takes what the model can read."""

    def build(self, context: Context) -> MaskedClassifier:
        from tgframe_prompts.classifiers.masked import MaskedClassifier

        return MaskedClassifier.load(self, context)


@attrs.frozen
class CausalLM(Classifier):
    """Reads a class from the word with which a causal language model goes on. ``{mask}`` ends the template."""

    model: ModelName
    """Hub name, folder, or ``prefix/name`` of a causal language model."""
    max_length: int | None = attrs.field(default=None, validator=optional(gt(0)))
    """Longest input in tokens; null takes what the model can read."""

    def build(self, context: Context) -> CausalClassifier:
        from tgframe_prompts.classifiers.causal import CausalClassifier

        return CausalClassifier.load(self, context)


@attrs.frozen
class Embedding(Classifier):
    """Reads a class from cosines: text with prompt against each verbaliser. ``{mask}`` is nothing here."""

    model: ModelName
    """Hub name, folder, or ``prefix/name`` of a sentence encoder."""
    pooling: Literal["mean", "first"] = attrs.field(default="mean", validator=in_(("mean", "first")))
    """Which states make the embedding: ``mean`` of all tokens, or the ``first`` token's."""
    scale: float = attrs.field(default=20.0, validator=gt(0.0))
    """Cosines are multiplied by this to become logits."""
    max_length: int | None = attrs.field(default=None, validator=optional(gt(0)))
    """Longest input in tokens; null takes what the model can read."""

    def build(self, context: Context) -> EmbeddingClassifier:
        from tgframe_prompts.classifiers.embedding import EmbeddingClassifier

        return EmbeddingClassifier.load(self, context)
