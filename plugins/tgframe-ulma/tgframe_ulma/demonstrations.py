"""Which completions are demonstrations: as the data marks them, by an explicit rule, or all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import attrs
from torch import Tensor

from tgframe import Choice, ComponentError, Step
from tgframe_ulma.pairs import judged


class Demonstration(Choice["Demonstration"]):
    """Tells demonstrations from other completions."""

    choices: ClassVar[Mapping[str, str]] = {
        "marked": "tgframe_ulma.demonstrations:Marked",
        "at-least": "tgframe_ulma.demonstrations:AtLeast",
        "all": "tgframe_ulma.demonstrations:All",
    }

    @abstractmethod
    def marked(self, step: Step) -> Tensor:
        """Return bool ``[B,K]``, True on demonstrations; never on absent completions."""


@attrs.frozen
class Marked(Demonstration):
    """What the preference marks as a demonstration. A demonstration needs no judgment beside its mark."""

    def needs(self) -> frozenset[str]:
        return frozenset({"preferences", "demonstration"})

    def marked(self, step: Step) -> Tensor:
        marks = step.preferences.demonstration
        if marks is None:
            raise ComponentError(
                "The preference must mark demonstrations, because it provides `demonstration`, but its judgments have "
                "no marks. Tell the authors of its plugin, or write `demonstrations: {type: at-least, label: …}`."
            )
        return marks & step.rollouts.present


@attrs.frozen
class AtLeast(Demonstration):
    """Completions whose judgment is ``label`` or more."""

    label: float
    """The smallest label, or score, of a demonstration."""

    def needs(self) -> frozenset[str]:
        return frozenset({"preferences"})

    def accepts(self) -> Mapping[str, frozenset[str]]:
        return {"preference": frozenset({"label", "score"})}

    def marked(self, step: Step) -> Tensor:
        return judged(step) & (step.preferences.values >= self.label)


@attrs.frozen
class All(Demonstration):
    """Every completion that is there; no preference is asked."""

    def needs(self) -> frozenset[str]:
        return frozenset({"rollouts"})

    def marked(self, step: Step) -> Tensor:
        return step.rollouts.present
