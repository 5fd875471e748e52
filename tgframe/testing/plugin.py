"""The pytest plugin: found by pytest wherever tgframe is installed. Imports no torch until a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tgframe.interfaces.context import Context
    from tgframe.testing.fakes.policy import TabularPolicy

pytest.register_assert_rewrite("tgframe.testing.contracts")


def pytest_configure(config: pytest.Config) -> None:
    """Make the contracts' mark known."""
    config.addinivalue_line("markers", "contract_override(reason): why a test of a tgframe contract is overridden")


@pytest.fixture
def tiny_policy() -> TabularPolicy:
    """A policy of a few numbers, freshly made, the same every time."""
    from tgframe.testing.fakes.policy import TabularPolicy

    return TabularPolicy()


@pytest.fixture
def fake_context(tiny_policy: TabularPolicy, tmp_path: Any) -> Context:
    """A context in which only the tiny policy is built; its cache lies in the test's own folder."""
    from tgframe.testing.fakes.context import make_context

    return make_context(policy=tiny_policy, cache_dir=tmp_path / "cache")
