"""What the plugin registers exists and is what its kind asks for."""

from __future__ import annotations

from pkgutil import resolve_name

import tgframe_embedded
from tgframe import DataSource, ModelSource
from tgframe_embedded.docstrings import Docstrings
from tgframe_embedded.locate import Embedded


def test_hooks_register_a_model_source_and_a_data_source() -> None:
    found: dict[str, str] = {}
    tgframe_embedded.tgframe_register_models(found.__setitem__)
    tgframe_embedded.tgframe_register_data(found.__setitem__)
    assert {name: resolve_name(target) for name, target in found.items()} == {
        "embedded": Embedded,
        "docstrings": Docstrings,
    }
    assert issubclass(Embedded, ModelSource)
    assert issubclass(Docstrings, DataSource)
