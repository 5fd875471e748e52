"""The kinds of component that have a template, and what is different in each beside its code."""

from __future__ import annotations

import attrs

from tgframe.errors import PluginError, did_you_mean


@attrs.frozen
class Kind:
    """What the texts that all kinds share say of one kind."""

    name: str
    """The recipe key, and the folder of its templates."""
    title: str
    """What a component of this kind is called, with its article."""
    does: str
    """One sentence: the docstring of the component."""
    option: str
    """An option of the component, as a recipe writes it."""
    tensors: bool = True
    """Whether its code imports torch."""


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "preference",
            "A preference source",
            "Prefers completions with a larger share of wanted words.",
            "words: [please, thanks]",
            tensors=False,
        ),
        Kind(
            "sampler",
            "A sampler",
            "Draws tokens that are not much less likely than the likeliest one.",
            "min_p: 0.05",
        ),
        Kind(
            "guidance",
            "A guidance model",
            "Values a token by what it is, wherever it stands: one learned number for each token of the vocabulary.",
            "bound: 2.0",
        ),
        Kind("aggregator", "An aggregator", "The mean of a completion's lowest token values.", "count: 5"),
        Kind(
            "objective",
            "An objective",
            "REINFORCE with a completion's preference less the mean of its group, and an entropy bonus.",
            "entropy: 0.05",
        ),
        Kind(
            "task",
            "A task",
            "Go on from an opening. The score is the share of different words in what is written.",
            "openings: [Return the, A function that, This class]",
        ),
    )
}


def find_kind(name: str) -> Kind:
    """Return the kind called ``name``. Raises PluginError, with the closest name, when it has no template."""
    if name not in KINDS:
        known = ", ".join(KINDS)
        raise PluginError(f"There is no template of a {name!r}.{did_you_mean(name, KINDS)} Templates: {known}.")
    return KINDS[name]
