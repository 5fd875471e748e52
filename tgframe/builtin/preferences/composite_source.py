"""What sources made of other sources share: asking them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from torch import nn

from tgframe.builtin.preferences.composite import EXTRAS, kind_of
from tgframe.errors import ComponentError, TgframeError
from tgframe.interfaces.batch import Preferences
from tgframe.interfaces.origin import origin
from tgframe.interfaces.preference import PreferenceSource

if TYPE_CHECKING:
    from tgframe.builtin.preferences.composite import Composite
    from tgframe.interfaces.batch import Rollouts
    from tgframe.interfaces.context import Context


class CompositeSource(PreferenceSource):
    """Holds sources by name; its calls, counts and state are theirs."""

    def __init__(self, composite: Composite, context: Context) -> None:
        self.composite = composite
        self.options = composite.nested()
        self.sources = {name: source.build(context) for name, source in self.options.items()}
        for source in self.sources.values():
            if isinstance(source, nn.Module):
                source.eval()  # a judge drops nothing out

    def provides(self) -> frozenset[str]:
        return self.composite.provides()

    @property
    def calls(self) -> int:
        """Judgments paid for by all sources together, each in its own unit."""
        return sum(source.calls for source in self.sources.values())

    def monitors(self) -> Mapping[str, float]:
        """Return what each source counts as ``NAME/…``, its calls among them."""
        found: dict[str, float] = {}
        for name, source in self.sources.items():
            found[f"{name}/calls"] = source.calls
            found |= {f"{name}/{key}": value for key, value in source.monitors().items()}
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the states of those sources that have one, by name."""
        return {name: source.state_dict() for name, source in self.sources.items() if hasattr(source, "state_dict")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hand every source its state."""
        for name, saved in state.items():
            self.sources[name].load_state_dict(saved)  # type: ignore[attr-defined]  # it has given one

    def ask(self, name: str, rollouts: Rollouts) -> Preferences:
        """Return what one source says of ``[B,K]`` completions, on their device; what it raises names it, too.

        Raises :class:`~tgframe.errors.ComponentError` when it does not return what it promises.
        """
        try:
            found = self.sources[name].judge(rollouts)
            self._check(name, found, rollouts)
        except TgframeError as error:
            error.args = (f"{self._who(name)}: {error}",)
            raise
        except Exception as error:
            error.add_note(f"It was raised by {self._who(name)}.")
            raise
        found = found.to(rollouts.tokens.device)
        return attrs.evolve(found, valid=found.valid & rollouts.present)

    def _who(self, name: str) -> str:
        return f"source {name!r} ({origin(type(self.options[name]).__module__)})"

    def _check(self, name: str, found: object, rollouts: Rollouts) -> None:
        kind, shape = kind_of(self.options[name]), list(rollouts.tokens.shape[:2])
        if not isinstance(found, Preferences) or list(found.values.shape) != shape:
            returned = list(found.values.shape) if isinstance(found, Preferences) else type(found).__name__
            raise ComponentError(
                f"`judge` must return preferences of the shape {shape}, but returned {returned} instead."
            )
        if found.kind != kind:
            raise ComponentError(f"`provides` says {kind!r}, but `judge` returned the kind {found.kind!r}.")
        for extra in self.options[name].provides() & EXTRAS:
            if getattr(found, extra) is None:
                raise ComponentError(f"`provides` says {extra!r}, but `judge` returned none.")
