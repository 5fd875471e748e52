"""The one place where recipe, plugins, machine and engine meet. Read it top to bottom: this is how a run is made."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import transformers

from tgframe.engine.alternation import Alternation
from tgframe.engine.reference import ReferencePolicy, check_vocabulary
from tgframe.engine.sharing import models, refuse_uneven, weights
from tgframe.engine.state import MODELS, Parts, Run
from tgframe.errors import ComponentError
from tgframe.interfaces.context import Context
from tgframe.interfaces.policy import Decoding
from tgframe.interfaces.specification import Specification
from tgframe.recipe.dump import dump_recipe
from tgframe.recipe.load import LoadedRecipe, load_recipe
from tgframe.registry.manager import Plugins, load_plugins
from tgframe.resume import go_on, refuse_changes, tell_other_versions
from tgframe.runtime.locate import Locator
from tgframe.runtime.machine import Machine
from tgframe.runtime.processes import ALONE, Processes
from tgframe.runtime.run_folder import RESULT, RunFolder
from tgframe.runtime.tracking import TensorBoard

if TYPE_CHECKING:
    from tgframe.interfaces.policy import Policy
    from tgframe.recipe.schema import Recipe
    from tgframe.registry.registry import Registry

Part = TypeVar("Part")


def run(
    recipe: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    output: str | Path | None = None,
    plugins: Plugins | None = None,
    *,
    resume: bool = False,
    allow_change: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Run a recipe to its end and return the run folder.

    ``recipe`` is a file or a mapping, ``overrides`` are ``key.sub=value`` texts, ``output`` is the run folder (default:
    the next free ``runs/NAME-N``; with ``resume`` the last one). ``resume`` goes on from the newest whole checkpoint,
    exactly as the run would have gone; ``allow_change`` even where the recipe is another one than the folder's.
    ``tell`` hears what a person should know. Raises :class:`~tgframe.errors.TgframeError` for everything that a person
    can mend; a folder without ``result.json`` is not a finished run.

    Several processes that a launcher (``torchrun``, ``accelerate launch``) has started call this alike and do one run
    together. The first of them writes and tells; one that ends because another one failed raises
    :class:`~tgframe.runtime.processes.Ended`.
    """
    processes = Processes.join()
    tell = tell if tell is not None and processes.is_main else _unheard
    with processes.agreed():
        plugins = plugins if plugins is not None else load_plugins()
        loaded = load_recipe(recipe, overrides, plugins)
        refuse_uneven(loaded.recipe.schedule, processes.count)
    folder = Path(processes.from_main(lambda: str(output if output is not None else _own_folder(loaded, resume))))
    if resume and processes.from_main((folder / RESULT).exists):
        tell(f"{str(folder)!r} is finished: there is nothing to resume.")
        return folder
    with contextlib.ExitStack() as opened:
        with processes.agreed():
            machine = machine_of(loaded.recipe, processes)
            files = opened.enter_context(RunFolder.create(folder, resume, machine.is_main))
            if resume and not allow_change:
                refuse_changes(folder, loaded.resolved)
            context, parts = build(loaded, plugins, machine)
        processes.align(weights(parts))
        machine.part_ways()
        machine.divide(models(parts))
        manifest = _manifest(loaded, plugins, context, machine)
        if resume:
            tell_other_versions(folder, manifest, tell)
        files.write_text("recipe.yaml", dump_recipe(loaded.resolved))
        files.write_json("manifest.json", manifest)
        alternation = Alternation(_run_of(loaded.recipe, plugins, machine, parts, files, manifest))
        if resume:
            go_on(alternation, tell)
        with _tracked(plugins, loaded.recipe.runtime.tensorboard and machine.is_main):
            result = alternation.result()
        with machine.shards.whole(*MODELS):
            if machine.is_main:
                _save_models(parts, folder)
        files.write_json("result.json", result)
    processes.finish()
    return folder


def _run_of(
    recipe: Recipe, plugins: Plugins, machine: Machine, parts: Parts, files: RunFolder, manifest: Mapping[str, Any]
) -> Run:
    hooks = plugins.manager.hook if machine.is_main else _Deaf()
    return Run(parts, recipe.schedule, recipe.optimizer, recipe.runtime, machine, files, hooks, manifest)


def _unheard(message: str) -> None:
    pass


class _Deaf:
    """Life-cycle hooks where nobody listens: trackers hear the main process alone."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda **given: None


def build(loaded: LoadedRecipe, plugins: Plugins, machine: Machine) -> tuple[Context, Parts]:
    """Build every part of a recipe, in the one order in which each finds what it needs."""
    recipe = loaded.recipe
    transformers.utils.logging.disable_progress_bar()  # tgframe shows the progress of a run itself
    context = Context(machine, Locator(_ModelSources(plugins.registries["model"])), _cache_dir())

    def make(key: str, specification: Specification[Part] | None) -> Part | None:
        if specification is None:
            return None
        context.parts[key] = part = specification.build(context)
        return part

    task = _present(make("task", recipe.task), "task")
    policy = _present(make("policy", recipe.policy), "policy")
    objective = make("objective", recipe.objective)
    policy.decoding = task.decoding(policy)
    if objective is not None:
        objective.prepare(policy)
        policy.decoding = (objective.decoding(policy) or Decoding()) + policy.decoding
    reference = _reference(recipe, policy, context)
    aggregator = make("aggregator", recipe.aggregator)
    guidance = make("guidance", recipe.guidance)
    sampler = make("sampler", recipe.sampler)
    own = recipe.schedule.ground.sampler if recipe.schedule.ground else None
    ground_sampler = make("ground_sampler", own) if own is not None else sampler
    preference = make("preference", recipe.preference)
    parts = Parts(
        task,
        policy,
        objective,
        sampler,
        ground_sampler,
        preference,
        guidance,
        aggregator,
        reference,
        needs=_needs(recipe),
        names={key: value["type"] for key, value in loaded.resolved.items() if _is_component(value)},
    )
    return context, parts


class _ModelSources(Mapping[str, Any]):
    """Model sources by prefix, made when a model name asks for them: a broken one stops only those who use it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getitem__(self, prefix: str) -> Any:
        return self._registry.load(prefix)()

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._registry.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry.names())

    def __len__(self) -> int:
        return len(self._registry.names())


@contextlib.contextmanager
def _tracked(plugins: Plugins, wanted: bool) -> Iterator[None]:
    """Let TensorBoard listen to the life cycle of one run."""
    if not wanted:
        yield
        return
    tracker = TensorBoard()
    plugins.manager.register(tracker)
    try:
        yield
    finally:
        plugins.manager.unregister(tracker)
        tracker.close()


def _present(part: Part | None, key: str) -> Part:
    if part is None:
        raise ComponentError(f"The {key}'s `build` must return the part that works, but returned None instead.")
    return part


def _needs(recipe: Recipe) -> dict[str, frozenset[str]]:
    """Return what each part asked for."""
    keys = ("objective", "guidance", "preference", "sampler")
    found = {key: getattr(recipe, key) for key in keys}
    found["ground_sampler"] = recipe.schedule.ground.sampler if recipe.schedule.ground else None
    return {key: part.needs() for key, part in found.items() if part is not None}


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value


def _reference(recipe: Recipe, policy: Policy, context: Context) -> ReferencePolicy | None:
    """Return the reference model: the policy as it starts, the policy without its adapters, or another model."""
    options = recipe.reference
    if options is None:
        return None
    if options.type == "adapters-off":
        reference = ReferencePolicy(policy, policy.without_adapters)  # type: ignore[attr-defined]  # it has adapters
    else:
        other = _other_model(recipe, options.model, context) if options.model is not None else copy.deepcopy(policy)
        reference = ReferencePolicy(other.requires_grad_(False))  # type: ignore[attr-defined]  # a policy is a module
    context.parts["reference"] = reference
    return reference


def _other_model(recipe: Recipe, name: str, context: Context) -> Policy:
    """Build model ``name`` as the policy was built, but without adapters."""
    options: dict[str, Any] = {"model": name} | ({"lora": None} if hasattr(recipe.policy, "lora") else {})
    other: Policy = attrs.evolve(recipe.policy, **options).build(context)  # type: ignore[misc]  # an attrs class
    other.decoding = context.policy.decoding
    check_vocabulary(other, context.policy, name)
    return other


def machine_of(recipe: Recipe, processes: Processes = ALONE) -> Machine:
    options = recipe.runtime
    return Machine.create(options.seed, options.device, options.precision, processes)


def _cache_dir() -> Path:
    """Return the folder for what outlives runs: TGFRAME_CACHE, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TGFRAME_CACHE") or Path(home) / "tgframe")


def _own_folder(loaded: LoadedRecipe, resume: bool) -> Path:
    """Return the first free ``runs/NAME-N``, or with ``resume`` the last that is taken."""
    stem = loaded.path.stem if loaded.path is not None else "run"
    number = 1
    while (folder := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return Path("runs") / f"{stem}-{max(1, number - 1)}" if resume else folder


def _manifest(loaded: LoadedRecipe, plugins: Plugins, context: Context, machine: Machine) -> dict[str, Any]:
    """Say what this run is made of, so that it can be made again."""
    recipe = loaded.recipe
    packages = ("tgframe", "torch", "transformers", "datasets", "accelerate")
    return {
        "recipe_sha256": hashlib.sha256(json.dumps(loaded.resolved, sort_keys=True).encode()).hexdigest(),
        "seed": recipe.runtime.seed,
        "device": str(context.runtime.device),
        "precision": str(machine.precision).removeprefix("torch."),
        "processes": machine.processes.count,
        "divided": machine.divides,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "components": plugins.provenance(recipe),
        "data": dict(context.task.provenance),
    }


def _save_models(parts: Parts, folder: Path) -> None:
    parts.policy.save_pretrained(folder / "policy")
    save = getattr(parts.guidance, "save_pretrained", None)
    if save is not None:
        save(folder / "guidance")
