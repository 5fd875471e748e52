"""From ``"module:name"`` to the function, and what the function takes."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import attrs

from tgframe.errors import did_you_mean

PROVIDED = ("prompts", "completions", "completion_ids", "log_metric", "log_extra")
"""What a function is given by these names, beside the columns."""
_OF_A_TRAINER = ("trainer_state", "environments")
_ADDRESS = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


def find(address: str) -> Callable[..., Any]:
    """Import and return what ``"module:name"`` names.

    Raises ValueError that says why it cannot be called, and the remedy.
    """
    if not _ADDRESS.fullmatch(address):
        module, _, name = address.rpartition(".")
        right = f"{module}:{name}" if _ADDRESS.fullmatch(f"{module}:{name}") else "module:name"
        raise ValueError(f"it must be written as module and name with a colon between them. Write {right!r}.")
    place, _, path = address.partition(":")
    found: Any = _module(place)
    for name in path.split("."):
        found = _attribute(found, name, place)
    if not callable(found):
        raise ValueError(f"{path!r} is a {type(found).__name__}, not a function.")
    return found  # type: ignore[no-any-return]


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and f"{name}.".startswith(f"{absent}."):
            remedy = "Install the package that holds it, or put its folder on PYTHONPATH."
            raise ValueError(f"there is no module {absent!r}. {remedy}") from error
        remedy = "Mend it, or install what it needs."
        raise ValueError(f"module {name!r} cannot be imported: {one_line(error)}. {remedy}") from error


def _attribute(owner: Any, name: str, module: str) -> Any:
    missing = object()
    try:
        found = getattr(owner, name, missing)
    except Exception as error:  # a module may import its names when they are asked for
        raise ValueError(f"{name!r} of module {module!r} cannot be imported: {one_line(error)}.") from error
    if found is missing:
        where = f"module {module!r}" if isinstance(owner, ModuleType) else f"{owner!r}"
        raise ValueError(f"{where} has no {name!r}.{did_you_mean(name, _callables(owner))} Name one of its functions.")
    return found


def _callables(owner: Any) -> Iterable[str]:
    for name in dir(owner):
        try:
            if not name.startswith("_") and callable(getattr(owner, name)):
                yield name
        except Exception:  # a lazy name that lacks what it needs is no suggestion
            continue


def one_line(error: BaseException) -> str:
    """Return an exception as one line: its type, and what it says."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":").removesuffix(".")


@attrs.frozen
class Parameters:
    """What a function can be given by name."""

    names: frozenset[str]
    required: frozenset[str]
    """Those without a default."""
    others: bool
    """Whether it takes any other name, too."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Parameters:
        """Read a signature. Raises ValueError where the function cannot be called by name."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            remedy = "Wrap it in a Python function."
            raise ValueError(f"nobody can tell which parameters {function!r} takes. {remedy}") from error
        named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
        required = frozenset(each.name for each in named if each.default is each.empty)
        _refuse([each for each in parameters if each.kind is each.POSITIONAL_ONLY], required)
        others = any(each.kind is each.VAR_KEYWORD for each in parameters)
        return cls(frozenset(each.name for each in named), required, others)

    def takes(self, name: str) -> bool:
        """Whether ``name`` can be given."""
        return self.others or name in self.names

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise ValueError unless all of ``arguments`` can be given, and are not given anyway."""
        for name in arguments:
            if name in PROVIDED:
                raise ValueError(f"{name!r} comes with the completions. Leave it out.")
            if not self.takes(name):
                taken = ", ".join(sorted(self.names)) or "nothing"
                raise ValueError(f"the function takes no {name!r}.{did_you_mean(name, self.names)} It takes: {taken}.")


def _refuse(by_place: Iterable[inspect.Parameter], required: frozenset[str]) -> None:
    stuck = [each.name for each in by_place if each.default is each.empty]
    if stuck:
        raise ValueError(f"its parameter {stuck[0]!r} must be given by place, but all is given by name. Drop the `/`.")
    for name in _OF_A_TRAINER:
        if name in required:
            raise ValueError(f"its parameter {name!r} must have a default: only TRL's trainer has such a thing.")
