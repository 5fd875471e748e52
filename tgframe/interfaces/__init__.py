"""The parts of the loop and the containers that flow between them.

Letters, everywhere: ``B`` prompts, ``K`` completions per prompt, ``T`` completion tokens, ``S`` prompt tokens,
``V`` vocabulary, ``D`` hidden. Flattened axes are written joined: ``[BK,T]``.
"""

INTERFACE_VERSION = 1
"""Raised when an interface changes so that plugins must too. A plugin module may state ``TGFRAME_INTERFACE = 1``."""

KINDS: dict[str, str] = {
    "task": "tgframe.interfaces.task:Task",
    "policy": "tgframe.interfaces.policy:Policy",
    "sampler": "tgframe.interfaces.sampler:Sampler",
    "preference": "tgframe.interfaces.preference:PreferenceSource",
    "guidance": "tgframe.interfaces.guidance:GuidanceModel",
    "aggregator": "tgframe.interfaces.aggregator:Aggregator",
    "objective": "tgframe.interfaces.objective:LMObjective",
    "data": "tgframe.interfaces.data:DataSource",
    "model": "tgframe.interfaces.models:ModelSource",
}
"""Recipe key and command-line KIND to the interface that a component of this kind implements."""
