"""Classes as the next word of a causal language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tgframe import ModelError
from tgframe_prompts.classifiers.loading import load, longest
from tgframe_prompts.classifiers.verbalized import VerbalizedLM
from tgframe_prompts.inputs import Frame, special_tokens

if TYPE_CHECKING:
    from tgframe import Context
    from tgframe_prompts.classifiers.options import CausalLM
    from tgframe_prompts.template import Template


class CausalClassifier(VerbalizedLM):
    """A causal language model, read at the end."""

    @classmethod
    def load(cls, options: CausalLM, context: Context) -> CausalClassifier:
        """Load model and tokenizer."""
        model, tokenizer = load(context, options.model, "AutoModelForCausalLM")
        return cls(model, tokenizer, longest(model, tokenizer, options.max_length))

    def frame(self, template: Template) -> Frame:
        if not template.ends_with_mask:
            raise ModelError(
                "With a causal language model `task.template` must end with {mask}, because the word comes last. "
                'Write, for example, "{text}{prompt}{mask}".'
            )
        prefix, _ = special_tokens(self.tokenizer)  # an end token after the text would close it before the word
        return Frame(self.tokenizer, "", prefix, (), self.max_length)
