"""Nothing in a text names its label."""

from __future__ import annotations

import re

import pytest

from tgframe_embedded.masking import giveaways, masked

PATTERN = giveaways(["torch", "pandas", "networkx", "rich"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a torch.Tensor", "a _.Tensor"),
        ("PyTorch and TorchScript", "_ and _"),
        ("PANDAS objects, pd.NA, cupd.x", "_ objects, _.NA, cupd.x"),
        ("import networkx as nx", "import _ as _"),
        ("pandas_version", "_"),
        ("rich text, enriched text", "_ text, enriched text"),
        ("a sympy expression", "a sympy expression"),
    ],
)
def test_names_compounds_and_aliases_are_blanked(text: str, expected: str) -> None:
    assert masked(text, PATTERN) == expected


def test_names_with_underscores_match_their_other_spellings() -> None:
    pattern = giveaways(["huggingface_hub"])
    assert masked("huggingface-hub, huggingface hub and huggingface_hub", pattern) == "_, _ and _"


def test_no_row_of_the_default_task_names_a_package(rows: dict[str, list[dict[str, str]]]) -> None:
    telling = re.compile(r"torch|transformers|pandas|sympy|networkx|\bpd\.|\bnx\.", re.IGNORECASE)
    assert not [row["text"] for part in rows.values() for row in part if telling.search(row["text"])]
