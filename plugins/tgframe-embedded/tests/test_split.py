"""A file's bucket follows from its name alone."""

from __future__ import annotations

import hashlib

import pytest

from tgframe_embedded.installed import source_files
from tgframe_embedded.split import BUCKETS, bucket, position


def test_shares_fill_the_whole() -> None:
    assert sum(BUCKETS.values()) == pytest.approx(1.0)


def test_position_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"torch:torch/nn/functional.py").hexdigest()
    assert position("torch", "torch/nn/functional.py") == int(digest[:16], 16) / 2**64


def test_buckets_stay_what_the_models_were_trained_with() -> None:
    # The weights know the files of `models`: were these to move, few-shot rows would no longer be unseen.
    known = {
        "torch:torch/nn/modules/linear.py": "models",
        "sympy:sympy/core/add.py": "models",
        "networkx:networkx/algorithms/dag.py": "train",
        "pandas:pandas/core/series.py": "test",
    }
    assert {file: bucket(*file.split(":")) for file in known} == known


def test_every_file_is_in_exactly_one_bucket() -> None:
    by_bucket = {name: {file.path for file in source_files("networkx", name)} for name in BUCKETS}
    assert sum(len(paths) for paths in by_bucket.values()) == len(set().union(*by_bucket.values()))
    assert all(by_bucket.values())


def test_bucket_sizes_follow_the_shares() -> None:
    counts = {name: len(source_files("sympy", name)) for name in BUCKETS}
    for name, share in BUCKETS.items():
        assert counts[name] / sum(counts.values()) == pytest.approx(share, abs=0.05)
