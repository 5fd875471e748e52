"""Runs of small parts, as the tests of the engine make them."""

from __future__ import annotations

from tests.engine.conftest import heard, make_run

__all__ = ["heard", "make_run"]
