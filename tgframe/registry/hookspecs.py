"""Every hook of tgframe. A plugin implements those it wants, marked with ``@tgframe.hookimpl``.

A hook grows by further arguments, and a plugin takes only those it names, so that older plugins go on working.
Plugins are called in the order of their names; what they return is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from tgframe.engine.state import Run
    from tgframe.registry.registry import Register

hookspec = pluggy.HookspecMarker("tgframe")
hookimpl = pluggy.HookimplMarker("tgframe")


# Registration: call ``register(name, "module:Class")`` for each component. Nothing is imported until a recipe names it.


@hookspec
def tgframe_register_tasks(register: Register) -> None:
    """Register tasks: prompts, targets, splits and their evaluation."""


@hookspec
def tgframe_register_policies(register: Register) -> None:
    """Register policies: the kinds of language model that can be improved."""


@hookspec
def tgframe_register_samplers(register: Register) -> None:
    """Register samplers: where completions come from."""


@hookspec
def tgframe_register_preferences(register: Register) -> None:
    """Register preference sources: who says which completion is better."""


@hookspec
def tgframe_register_guidance(register: Register) -> None:
    """Register guidance models: every token's worth."""


@hookspec
def tgframe_register_aggregators(register: Register) -> None:
    """Register aggregators: from token values to one value a completion."""


@hookspec
def tgframe_register_objectives(register: Register) -> None:
    """Register objectives: how the language model is improved."""


@hookspec
def tgframe_register_data(register: Register) -> None:
    """Register data sources: rows from the hub, from files, from what is installed."""


@hookspec
def tgframe_register_models(register: Register) -> None:
    """Register model sources: the name is the prefix of the model names that they resolve (``embedded/causal``)."""


# Life cycle: called by a run, in this order, in its main process. An exception stops the run and names the plugin.
# Where several processes divide the weights, these are not whole here: whoever wants them reads a checkpoint.


@hookspec
def tgframe_run_started(run: Run) -> None:
    """Hear that everything is built and the first step comes next."""


@hookspec
def tgframe_step_finished(run: Run, step: int, phase: str, metrics: Mapping[str, Any]) -> None:
    """Hear of one row of metrics, of a step or an evaluation (phase ``ground``, ``improve`` or ``evaluate``)."""


@hookspec
def tgframe_checkpoint_saved(run: Run, step: int, path: Path) -> None:
    """Hear that a checkpoint lies complete in the folder ``path``."""


@hookspec
def tgframe_run_finished(run: Run, result: Mapping[str, Any]) -> None:
    """Hear the content of result.json, before the run folder counts as finished."""


REGISTRATION: dict[str, str] = {
    "tgframe_register_tasks": "task",
    "tgframe_register_policies": "policy",
    "tgframe_register_samplers": "sampler",
    "tgframe_register_preferences": "preference",
    "tgframe_register_guidance": "guidance",
    "tgframe_register_aggregators": "aggregator",
    "tgframe_register_objectives": "objective",
    "tgframe_register_data": "data",
    "tgframe_register_models": "model",
}
"""Registration hook to the kind of component that it registers."""
