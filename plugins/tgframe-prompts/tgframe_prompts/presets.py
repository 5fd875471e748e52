"""Verbalisers and templates of well-known data sets, in the words of RoBERTa and GPT-2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import attrs

from tgframe_prompts.classifiers.options import MaskedLM

if TYPE_CHECKING:
    from tgframe_prompts.task import PromptClassification

PresetName = Literal["sst-2", "yelp-2", "agnews", "mr", "cr", "sst-5", "subj", "trec", "yahoo", "dbpedia"]

PLAIN = "{text}{prompt}{mask}"
"""The template where nothing is said."""
_LAST = "{text} {prompt}{mask}"  # the paper's for models that read from left to right
_END = "{text} {prompt} {mask} ."
_FRONT = "{mask} {prompt} {text}"


@attrs.frozen
class Preset:
    """What a recipe need not say of a data set."""

    words: tuple[str, ...]
    """Verbalisers of the labels 0, 1, 2, …"""
    template: str = _END
    """For masked language models."""

    @property
    def verbalizers(self) -> dict[str, str]:
        """Label to word."""
        return {str(label): word for label, word in enumerate(self.words)}


_SENTIMENT = Preset((" terrible", " great"))
PRESETS: Mapping[PresetName, Preset] = {
    "sst-2": _SENTIMENT,
    "yelp-2": _SENTIMENT,
    "agnews": Preset(("World", "Sports", "Business", "Tech"), _FRONT),
    "mr": _SENTIMENT,
    "cr": _SENTIMENT,
    "sst-5": Preset((" terrible", " bad", " okay", " good", " great")),
    "subj": Preset((" subjective", " objective")),
    "trec": Preset((" Description", " Entity", " Expression", " Human", " Location", " Number")),
    "yahoo": Preset(
        (
            "culture",
            "science",
            "health",
            "education",
            "computer",
            "sports",
            "business",
            "music",
            "family",
            "politics",
        ),
        _FRONT,
    ),
    "dbpedia": Preset(
        (
            " Company",
            " Education",
            " Artist",
            " Sports",
            " Office",
            " Transportation",
            " Building",
            " Natural",
            " Village",
            " Animal",
            " Plant",
            " Album",
            " Film",
            " Written",
        )
    ),
}


def filled(options: PromptClassification) -> PromptClassification:
    """Return the options with what they leave to the preset; what they say themselves stays."""
    if options.preset is None:
        return attrs.evolve(options, template=options.template or PLAIN)
    preset = PRESETS[options.preset]
    template = preset.template if isinstance(options.classifier, MaskedLM) else _LAST
    return attrs.evolve(
        options,
        verbalizers=preset.verbalizers if options.verbalizers is None else options.verbalizers,
        template=options.template or template,
    )
