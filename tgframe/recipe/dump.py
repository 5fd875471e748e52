"""Writes resolved recipes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter


class _Representer(SafeRepresenter):
    """Mappings in blocks and in their own order, lists of scalars on one line, odd line breaks escaped."""

    def represent_str(self, data: Any) -> ScalarNode:
        # The emitter takes these for line breaks and loses them, unless they are escaped in double quotes.
        style = '"' if any(mark in data for mark in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    def represent_mapping(self, tag: Any, mapping: Any, flow_style: Any = None) -> MappingNode:
        return super().represent_mapping(tag, mapping, flow_style=not mapping)

    def represent_sequence(self, tag: Any, sequence: Any, flow_style: Any = None) -> SequenceNode:
        scalars = not any(isinstance(element, list | dict) for element in sequence)
        return super().represent_sequence(tag, sequence, flow_style=scalars)


_Representer.add_representer(str, _Representer.represent_str)


def dump_recipe(resolved: Mapping[str, Any]) -> str:
    """Return a resolved recipe as YAML, which loads to the same recipe."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # annotated as None
    yaml.allow_unicode = True
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(dict(resolved), stream)
    return stream.getvalue()
