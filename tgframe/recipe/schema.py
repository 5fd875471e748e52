"""The shape of a recipe: sections that name components, and the core's own sections.

Component sections are typed by their interface; the converter turns ``{type: NAME, …}`` into the class that the
registry knows under NAME. Every field is documented under it; the converter refuses what is not here.
"""

from __future__ import annotations

import attrs

from tgframe.interfaces.aggregator import Aggregator
from tgframe.interfaces.guidance import GuidanceModel
from tgframe.interfaces.objective import LMObjective
from tgframe.interfaces.policy import Policy
from tgframe.interfaces.preference import PreferenceSource
from tgframe.interfaces.sampler import Sampler
from tgframe.interfaces.schedule import Optimizers, Reference, RuntimeOptions, Schedule
from tgframe.interfaces.task import Task


@attrs.frozen(kw_only=True)
class Recipe:
    """A whole recipe. A section that no part needs is left out; a section that no part reads is a mistake."""

    task: Task
    """What the language model is for."""
    policy: Policy
    """The language model that is improved."""
    objective: LMObjective | None = None
    """How it is improved; null where the schedule only grounds."""
    schedule: Schedule
    """How long, how often, how much."""
    sampler: Sampler | None = None
    """Where completions come from."""
    preference: PreferenceSource | None = None
    """Who says which completion is better."""
    guidance: GuidanceModel | None = None
    """Every token's worth."""
    aggregator: Aggregator | None = None
    """From token values to one value a completion."""
    reference: Reference | None = None
    """The reference model."""
    optimizer: Optimizers = attrs.field(factory=Optimizers)
    """The engine's two optimizers."""
    runtime: RuntimeOptions = attrs.field(factory=RuntimeOptions)
    """The machine."""
