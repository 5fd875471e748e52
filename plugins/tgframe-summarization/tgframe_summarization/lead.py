"""The baseline that summarizes by the beginning of the source."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import ge, in_

from tgframe_summarization.sentences import sentences


@attrs.frozen
class Lead:
    """Takes the first words or sentences of a source."""

    count: int = attrs.field(default=3, validator=ge(1))
    """How many."""
    unit: Literal["sentences", "words"] = attrs.field(default="sentences", validator=in_(("sentences", "words")))
    """What is counted; words are what stands between spaces."""

    def of(self, source: str) -> str:
        """Return the beginning of ``source``."""
        if self.unit == "words":
            return " ".join(source.split()[: self.count])
        return " ".join(sentences(source)[: self.count])
