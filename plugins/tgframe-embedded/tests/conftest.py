"""What several tests share: the rows of the default task, read once."""

from __future__ import annotations

import pytest

from tgframe_embedded.docstrings import Docstrings


@pytest.fixture(scope="session")
def rows() -> dict[str, list[dict[str, str]]]:
    return Docstrings().rows()
