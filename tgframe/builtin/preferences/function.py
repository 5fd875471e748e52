"""The preference `function`: its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs.validators import gt, in_, optional

from tgframe.builtin.preferences.naming import Parameters, find, one_line
from tgframe.errors import ComponentError
from tgframe.interfaces.preference import PreferenceSource
from tgframe.interfaces.specification import Specification

if TYPE_CHECKING:
    from tgframe.builtin.preferences.function_source import FunctionSource
    from tgframe.interfaces.context import Context


def _can_be_called(options: Function, attribute: Any, call: str) -> None:
    find(call)


def _makes_the_function(options: Function, attribute: Any, factory: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(find(options.call))
    except (TypeError, ValueError):
        return  # `call` itself says what is wrong with it
    try:
        signature.bind(**factory)
    except TypeError as error:
        raise ValueError(f"{options.call!r} cannot be called so: {error}.") from error


def _are_taken(options: Function, attribute: Any, arguments: dict[str, Any]) -> None:
    if getattr(options, "factory", None) is not None:
        return  # the function is there when the factory has been called
    try:
        parameters = Parameters.of(find(options.call))
    except ValueError:
        return
    parameters.check(arguments)


@attrs.frozen
class Function(Specification[PreferenceSource]):
    """Asks a Python function what completions are worth: a reward function as TRL calls it.

    ``f(prompts, completions, **columns) -> list[float | None]``, plain or ``async``, called once for all completions of
    a batch and by keyword with exactly what it takes, or with everything where it takes ``**kwargs``:

    * ``prompts``, ``completions``: lists of ``N`` texts (or messages), each prompt as often as it has completions;
    * ``completion_ids``: ``N`` lists of token ids, without padding, the end token included;
    * every column of the prompts and of the completions, as a list of ``N`` values;
    * ``log_metric(name, value)``: the metrics show the running mean as ``preference/logged/NAME``;
    * ``log_extra(column, values)``: accepted, and forgotten.

    It returns ``N`` numbers, higher is better; None is a missing judgment. A bool counts as 0 or 1. A tensor or array
    of one dimension will do. A list of lists will not: a preference source judges whole completions.

    A recipe with this preference is code: checking, running or loading it imports the module that ``call`` names.
    """

    call: str = attrs.field(validator=_can_be_called)
    """The function, as ``package.module:name``. The module must be importable: installed, or on PYTHONPATH."""
    factory: dict[str, Any] | None = attrs.field(default=None, validator=optional(_makes_the_function))
    """Arguments of ``call`` where that does not judge itself, but returns the function that does; null where it judges.
    ``{call: "trl.rewards:get_repetition_penalty_reward", factory: {ngram_size: 2}}``"""
    arguments: dict[str, Any] = attrs.field(factory=dict, validator=_are_taken)
    """Further arguments of the function, the same in every call. One that is called as a column takes its place."""
    kind: Literal["score", "label", "rank"] = attrs.field(default="score", validator=in_(("score", "label", "rank")))
    """What the numbers mean. ``score``: they compare across prompts and time; ``label``: classes or ratings on a fixed
    scale; ``rank``: they compare within a prompt only. Higher is better in all three."""
    conversational: bool | None = None
    """Send messages instead of texts: a prompt is a list of ``{"role", "content"}``, a completion one message of the
    assistant. Prompts are taken from the column ``messages``, or become one message of the user where there is none.
    Null: true where the prompts have such a column. Most of TRL's own functions read messages."""
    on_error: Literal["stop", "missing"] = attrs.field(default="stop", validator=in_(("stop", "missing")))
    """What happens when the function raises, is late, or returns what is no judgment: the run stops, or the judgments
    are missing (all of the call, or the one that is bad), the first time with a warning. They never become 0."""
    timeout: float | None = attrs.field(default=None, validator=optional(gt(0.0)))
    """Seconds that one call may take; null for no limit. A late ``async`` function is cancelled. A late plain one is
    left behind in its thread, where it works on until it returns: nothing can stop it."""

    def provides(self) -> frozenset[str]:
        return frozenset({self.kind})

    def imports(self) -> frozenset[str]:
        return frozenset({self.call.partition(":")[0]})

    def build(self, context: Context) -> FunctionSource:
        """Return the source. Raises :class:`~tgframe.errors.ComponentError` for a function that cannot be called."""
        from tgframe.builtin.preferences.function_source import FunctionSource

        try:
            function = self._function()
            parameters = Parameters.of(function)
            parameters.check(self.arguments)
        except ValueError as error:
            raise ComponentError(f"Preference 'function' cannot call {self.call!r}: {error}") from error
        return FunctionSource(self, function, parameters)

    def _function(self) -> Callable[..., Any]:
        found = find(self.call)
        if self.factory is None:
            return found
        try:
            made = found(**self.factory)
        except Exception as error:
            raise ValueError(f"with `factory: {self.factory}` it raises {one_line(error)}.") from error
        if not callable(made):
            raise ValueError(f"with `factory: {self.factory}` it must return a function, but returns {made!r} instead.")
        return made  # type: ignore[no-any-return]
