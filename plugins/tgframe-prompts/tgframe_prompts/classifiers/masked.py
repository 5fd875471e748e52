"""Classes as words at the mask of a masked language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tgframe import ModelError
from tgframe_prompts.classifiers.loading import load, longest
from tgframe_prompts.classifiers.verbalized import VerbalizedLM
from tgframe_prompts.inputs import Frame, special_tokens

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_prompts.classifiers.options import MaskedLM
    from tgframe_prompts.template import Template


class MaskedClassifier(VerbalizedLM):
    """A masked language model, read at the mask."""

    @classmethod
    def load(cls, options: MaskedLM, context: Context) -> MaskedClassifier:
        """Load model and tokenizer. Raises :class:`~tgframe.ModelError` when there is no mask token."""
        model, tokenizer = load(context, options.model, "AutoModelForMaskedLM")
        if tokenizer.mask_token is None:
            raise ModelError(
                f"The classifier {options.model!r} must have a mask token, but its tokenizer has none. "
                "Choose a masked language model, or `task.classifier.type: causal-lm`."
            )
        return cls(model, tokenizer, longest(model, tokenizer, options.max_length))

    def frame(self, template: Template) -> Frame:
        prefix, suffix = special_tokens(self.tokenizer)
        return Frame(self.tokenizer, self.tokenizer.mask_token, prefix, suffix, self.max_length)
