"""Point-wise DPO and ULMA (arXiv 2312.02554) with implicit guidance and baselines, as parts of a recipe.

Importing this module registers nothing heavy: the components are loaded when a recipe names them.
"""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

TGFRAME_INTERFACE = 1

Register = Callable[[str, str], None]


@hookimpl
def tgframe_register_guidance(register: Register) -> None:
    register("implicit", "tgframe_ulma.implicit:Implicit")


@hookimpl
def tgframe_register_objectives(register: Register) -> None:
    register("dpo", "tgframe_ulma.objectives.dpo:DPO")
    register("pointwise-dpo", "tgframe_ulma.objectives.pointwise_dpo:PointwiseDPO")
    register("ulma", "tgframe_ulma.objectives.ulma:ULMA")
    register("sft", "tgframe_ulma.objectives.sft:SFT")
    register("unlikelihood", "tgframe_ulma.objectives.unlikelihood:Unlikelihood")
