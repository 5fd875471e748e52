"""A pytest plugin that runs the contracts it collects with mistakes planted in their parts, and writes down what broke.

``--planted=FILE`` names the JSON file: one row for each contract and each mistake, and one for the part as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.testing.mutations import MUTATIONS, Mutation, plant
from tgframe.testing import SpecificationContract

UNTOUCHED = "builds_its_interface"
"""The law that is run with nothing planted."""
ROWS = pytest.StashKey[dict[str, dict[str, Any]]]()


def is_contract(contract: type | None) -> bool:
    return contract is not None and issubclass(contract, SpecificationContract)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--planted", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask for every test of a contract once for each mistake, and once without one."""
    if metafunc.cls is not None and is_contract(metafunc.cls):
        mistakes = [None, *MUTATIONS[metafunc.cls.kind]]
        names = [mistake.name if mistake else "nothing" for mistake in mistakes]
        metafunc.parametrize("planted", mistakes, indirect=True, ids=names)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the law that a mistake must break."""
    kept = [item for item in items if _is_wanted(item)]
    config.hook.pytest_deselected(items=[item for item in items if not _is_wanted(item)])
    items[:] = kept


def _is_wanted(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not is_contract(item.cls):
        return False
    mistake = item.callspec.params["planted"]
    assert isinstance(mistake, Mutation | None)
    return item.originalname == f"test_{mistake.law if mistake else UNTOUCHED}"


@pytest.fixture(autouse=True)
def planted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the mistake in every part that the contract builds."""
    mistake: Mutation | None = request.param
    row = {"contract": request.cls.__qualname__, "file": str(request.path), "kind": request.cls.kind}
    row |= {"mistake": mistake.name if mistake else None, "component": None}
    request.config.stash[ROWS][request.node.nodeid] = row
    monkeypatch.setattr(request.cls, "part", _planting(request.cls.part, mistake, row))


def _planting(build: Callable[..., Any], mistake: Mutation | None, row: dict[str, Any]) -> Callable[..., Any]:
    def part(self: SpecificationContract, context: Any = None) -> Any:
        component = type(self.make())
        row["component"] = f"{component.__module__}:{component.__qualname__}"
        built = build(self, context)
        return plant(built, mistake) if mistake else built

    return part


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell a law that broke (`broken`) from one that held, was skipped, or could not be run."""
    report = yield
    row = item.config.stash[ROWS].get(item.nodeid)
    if row is not None and call.when != "teardown" and "outcome" not in row:
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, AssertionError | pytest.fail.Exception) and call.when == "call":
            row["outcome"] = "broken"
        elif error is not None:
            row["outcome"] = f"{report.outcome}: {type(error).__name__}: {error}"
        elif call.when == "call":
            row["outcome"] = "held"
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = list(session.config.stash[ROWS].values())
    session.config.getoption("--planted").write_text(json.dumps(rows, indent=1), encoding="utf-8")
