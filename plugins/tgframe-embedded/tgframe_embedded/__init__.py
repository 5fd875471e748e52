"""What lets tgframe run without a download: three small models and a data set read from installed packages."""

from __future__ import annotations

from collections.abc import Callable

from tgframe import hookimpl

__version__ = "0.1.0"


@hookimpl
def tgframe_register_models(register: Callable[[str, str], None]) -> None:
    """`embedded/causal`, `embedded/masked` and `embedded/seq2seq`."""
    register("embedded", "tgframe_embedded.locate:Embedded")


@hookimpl
def tgframe_register_data(register: Callable[[str, str], None]) -> None:
    """`docstrings`: texts by package, or bodies with their summaries."""
    register("docstrings", "tgframe_embedded.docstrings:Docstrings")
