"""The laws of every component: its options, its papers, its state."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
import torch

from tgframe.interfaces import KINDS
from tgframe.interfaces.context import Context
from tgframe.interfaces.specification import Specification
from tgframe.testing.contracts import installed, state
from tgframe.testing.contracts.override import overridden_without_reason
from tgframe.testing.fakes.context import make_context
from tgframe.testing.fakes.policy import TabularPolicy
from tgframe.testing.fakes.task import FakeTask

GUARD = "test_no_law_is_overridden_without_a_reason"


class Unfounded(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # mypy sees an attribute, not a class
    """Skips a law that builds on a broken one."""


class SpecificationContract:
    """What holds for every component. Inherit the contract of your interface instead of this one.

    ``make`` is all that has to be written. Each test runs on a fresh instance of the class.
    """

    kind: ClassVar[str]
    """The recipe key of this interface."""

    def make(self) -> Specification[Any]:
        """Return the component as a recipe would: an instance of the specification, the same at every call."""
        raise NotImplementedError("write `def make(self)` that returns the component to be tested")

    def context(self) -> Context:
        """Return what the component is built with. Override it where more than a tiny policy must be there."""
        return make_context(policy=TabularPolicy(), task=FakeTask(), cache_dir=self.folder)

    def part(self, context: Context | None = None) -> Any:
        """Return a freshly built part. Torch is seeded before, as in a run, so that layers start the same."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # seeding every device there could be is slow
            return self.make().build(context or self.context())

    def require(self, *laws: Callable[[], None]) -> None:
        """Skip the law that asks for it where one of ``laws`` is broken, so that one mistake breaks one law.

        A law that does not apply is not broken.
        """
        sound: set[str] = self.__dict__.setdefault("_sound", set())
        for law in laws:
            if law.__name__ in sound:
                continue
            try:
                law()
            except Unfounded:
                raise
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception) as error:
                reason = str(error).partition("\n")[0]
                raise Unfounded(f"{law.__name__} is broken: {reason or type(error).__name__}") from None
            sound.add(law.__name__)

    def __init_subclass__(cls) -> None:
        if GUARD in vars(cls):
            raise TypeError(f"{cls.__name__} must not override the guard of its contract.")

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def test_no_law_is_overridden_without_a_reason(self) -> None:
        silenced = overridden_without_reason(type(self))
        assert not silenced, f"mark them with @contract_override(reason=…), or let them run: {', '.join(silenced)}"

    def test_is_a_frozen_class_of_options(self) -> None:
        made = self.make()
        assert attrs.has(type(made)), f"put @attrs.frozen above {type(made).__name__}"
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            made.anything = 1  # type: ignore[attr-defined]

    def test_is_made_the_same_twice(self) -> None:
        assert self.make() == self.make()

    def test_pickles(self) -> None:
        made = self.make()
        assert pickle.loads(pickle.dumps(made)) == made

    def test_survives_the_round_trip_through_a_recipe(self) -> None:
        made = self.make()
        assert installed.through_recipe(self.kind, made) == made

    def test_every_option_is_documented(self) -> None:
        component = type(self.make())
        assert (component.__doc__ or "").strip(), f"{component.__name__} has no docstring"
        assert not (missing := installed.undocumented(component)), f"write a docstring under: {', '.join(missing)}"

    def test_capabilities_are_well_formed(self) -> None:
        made = self.make()
        for question in (made.needs(), made.provides(), *made.accepts().values()):
            assert isinstance(question, frozenset), f"must be a frozenset, but is {question!r}"
            assert all(isinstance(capability, str) for capability in question)
        assert made.accepts().keys() <= KINDS.keys(), "accepts() maps recipe keys to capabilities"

    def test_is_registered_where_it_is_installed(self) -> None:
        component = type(self.make())
        if installed.provider_of(component) is None:
            pytest.skip("not an installed plugin")
        problem = installed.registration_problem(self.kind, component)
        assert problem is None, problem

    def test_registering_imports_no_torch(self) -> None:
        plugin = installed.provider_of(type(self.make()))
        if plugin is None:
            pytest.skip("not an installed plugin")
        heavy = {"torch", "transformers"} & installed.modules_after_registration(plugin)
        assert not heavy, f"register 'module:Class'; the plugin's own module imported {', '.join(sorted(heavy))}"

    def test_builds_its_interface(self) -> None:
        interface = installed.interface(self.kind)
        assert isinstance(self.part(), interface), f"build(context) must return a {interface.__name__}"

    def test_state_survives_a_checkpoint(self) -> None:
        self.require(self.test_builds_its_interface)
        part = self.part()
        if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
            pytest.skip("has no state")
        saved = part.state_dict()
        assert not (bad := state.not_storable(saved)), f"neither tensors nor JSON values: {', '.join(bad)}"
        other = self.part()
        other.load_state_dict(saved)
        assert state.same(other.state_dict(), saved)
