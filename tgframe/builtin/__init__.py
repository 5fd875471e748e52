"""What everybody needs, registered through the same hooks as any plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tgframe import hookimpl

if TYPE_CHECKING:
    from tgframe.registry.registry import Register


@hookimpl
def tgframe_register_samplers(register: Register) -> None:
    """Register the samplers that draw from the policy token by token, and those that search or read rows."""
    register("top-k", "tgframe.builtin.samplers:TopK")
    register("top-p", "tgframe.builtin.samplers:TopP")
    register("greedy", "tgframe.builtin.samplers:Greedy")
    register("sample", "tgframe.builtin.samplers:Sample")
    register("beam", "tgframe.builtin.beam:Beam")
    register("dataset", "tgframe.builtin.dataset:DatasetSampler")


@hookimpl
def tgframe_register_preferences(register: Register) -> None:
    """Register the preference sources that need no plugin."""
    register("dataset", "tgframe.builtin.dataset:DatasetPreference")
    register("function", "tgframe.builtin.preferences.function:Function")
    register("weighted-sum", "tgframe.builtin.preferences.weighted_sum:WeightedSum")
    register("first", "tgframe.builtin.preferences.first:First")
    register("veto", "tgframe.builtin.preferences.veto:Veto")


@hookimpl
def tgframe_register_aggregators(register: Register) -> None:
    """Register the plain aggregators."""
    register("sum", "tgframe.builtin.aggregators:Sum")
    register("mean", "tgframe.builtin.aggregators:Mean")


@hookimpl
def tgframe_register_policies(register: Register) -> None:
    """Register the policies of the core."""
    register("causal", "tgframe.policies.causal:Causal")
    register("seq2seq", "tgframe.policies.seq2seq:Seq2Seq")
    register("adaptor", "tgframe.policies.adaptor:Adaptor")


@hookimpl
def tgframe_register_data(register: Register) -> None:
    """Register the data sources that need no plugin."""
    register("files", "tgframe.builtin.data:Files")
    register("hub", "tgframe.builtin.data:Hub")
