"""What a recipe names, and how it becomes a part that works."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

if TYPE_CHECKING:
    from tgframe.interfaces.context import Context

Part_co = TypeVar("Part_co", covariant=True)

ABOUT_COMPLETIONS = frozenset(
    {
        "rollouts",
        "preferences",
        "guidance",
        "policy_logprobs",
        "policy_entropy",
        "policy_hidden",
        "reference_logprobs",
    }
)
"""Fields of a step that are of the policy's own completions: who needs one of them needs completions."""


class Specification(ABC, Generic[Part_co]):
    """The options of one component: an ``attrs.frozen`` class, documented under each field.

    A specification holds no tensors and no state: it pickles, compares, and round-trips to JSON. :meth:`build` turns it
    into the *part* that works. A component without state is its own part; one with state derives from
    ``Specification[Interface]`` and builds an object (often an ``nn.Module``) that implements the interface and has
    ``state_dict`` and ``load_state_dict``, all of which a checkpoint saves.

    An option that may hold a secret by mistake says so (``attrs.field(metadata={"secret": True})``): its value is shown
    in no message, and what its validator says follows the option's name (``must be the name of a variable, …``).

    The three questions below are asked of the configured specification before any weight is loaded. Capabilities are
    short strings: the fields of :class:`~tgframe.interfaces.step.Step` (``"guidance"``, ``"policy_logprobs"``,
    ``"targets.guidance"``, …) and what parts promise beside them (``"exact"``, ``"score"``, ``"targets"``, …).
    """

    def needs(self) -> frozenset[str]:
        """Capabilities that another part of the recipe must provide."""
        return frozenset()

    def provides(self) -> frozenset[str]:
        """Capabilities that this component adds to the recipe."""
        return frozenset()

    def accepts(self) -> Mapping[str, frozenset[str]]:
        """Restrictions on other parts: recipe key (``"sampler"``) to capabilities of which it must provide one."""
        return {}

    def imports(self) -> frozenset[str]:
        """Modules of others that run on behalf of this component: ``frozenset({"trl.rewards"})``.

        For a component that calls code which its options name. The manifest of a run says of each which distribution
        and version it is (or the digest of its file), as it does for the component itself. What a component's own
        package depends on need not be named.
        """
        return frozenset()

    def build(self, context: Context) -> Part_co:
        """Return the part that works. ``context`` holds what was built before (see its docstring for the order)."""
        return cast(Part_co, self)


class Choice(Specification[Part_co]):
    """A nested option of a plugin that comes in several types, without a registry of its own.

    ``choices`` maps each ``type`` to a lazy ``"module:Class"``. A recipe writes it like any component::

        classifier: {type: masked-lm, model: embedded/masked}
    """

    choices: ClassVar[Mapping[str, str]] = {}
