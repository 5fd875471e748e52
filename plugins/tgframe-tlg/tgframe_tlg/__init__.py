"""Preference-grounded token-level guidance (Yang et al., NeurIPS 2023), as parts of a recipe.

Importing this module registers nothing heavy: the components are loaded when a recipe names them.
"""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

TGFRAME_INTERFACE = 1

Register = Callable[[str, str], None]


@hookimpl
def tgframe_register_aggregators(register: Register) -> None:
    register("soft-max", "tgframe_tlg.aggregators:SoftMax")
    register("soft-min", "tgframe_tlg.aggregators:SoftMin")
    register("lme-max", "tgframe_tlg.aggregators:LmeMax")
    register("lme-min", "tgframe_tlg.aggregators:LmeMin")


@hookimpl
def tgframe_register_guidance(register: Register) -> None:
    register("learned", "tgframe_tlg.guidance.learned:Learned")


@hookimpl
def tgframe_register_objectives(register: Register) -> None:
    register("reinforce-maxent", "tgframe_tlg.objectives.reinforce_maxent:ReinforceMaxent")
    register("bandit", "tgframe_tlg.objectives.bandit:Bandit")
    register("sparse", "tgframe_tlg.objectives.sparse:Sparse")
    register("reward-weighted-mle", "tgframe_tlg.objectives.reward_weighted_mle:RewardWeightedMLE")
    register("mle", "tgframe_tlg.objectives.mle:MLE")


@hookimpl
def tgframe_register_samplers(register: Register) -> None:
    register("guided", "tgframe_tlg.sampling.guided:Guided")
