"""Checkpoints: everything comes back bit for bit, or nothing does."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from tgframe.errors import CheckpointError, RunFolderError
from tgframe.runtime.checkpoint import MANIFEST, read_checkpoint, write_checkpoint

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool)


def same(left: Any, right: Any) -> bool:
    """Whether two states are equal: types, order of keys, bits of floats and tensors."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        bits = [value.contiguous().flatten().view(torch.uint8) for value in (left, right)]
        return left.dtype == right.dtype and left.shape == right.shape and torch.equal(*bits)
    if isinstance(left, dict):
        return [*left] == [*right] and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right or (isinstance(left, float) and math.isnan(left) and math.isnan(right))


tensors = st.builds(
    lambda shape, dtype: (torch.arange(math.prod(shape)) * 37 % 251).reshape(shape).to(dtype),
    st.lists(st.integers(0, 5), max_size=3),
    st.sampled_from(DTYPES),
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.integers() | st.text() | st.booleans() | st.tuples(st.integers(), st.text())
states = st.recursive(
    plain | tensors,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=states)
def test_any_state_comes_back_bit_for_bit(tmp_path: Path, state: Any) -> None:
    write_checkpoint(tmp_path / "c", {"part": state, "other": 1})
    assert same(read_checkpoint(tmp_path / "c"), {"part": state, "other": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["c"], "nothing else is left behind"


def test_an_optimizer_goes_on_where_it_was(tmp_path: Path) -> None:
    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, torch.optim.AdamW(model.parameters(), lr=0.1)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    model, optimizer = make()
    step(model, optimizer)
    write_checkpoint(tmp_path / "c", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    step(model, optimizer)
    other, its = make()
    parts = read_checkpoint(tmp_path / "c")
    other.load_state_dict(parts["model"])
    its.load_state_dict(parts["optimizer"])
    step(other, its)
    assert torch.equal(other.weight, model.weight)


def test_tied_weights_and_views_are_stored_right(tmp_path: Path) -> None:
    base = torch.arange(12.0)
    state = {"a": base, "tied": base, "view": base[2:5], "turned": base.reshape(3, 4).T, "empty": base[:0]}
    write_checkpoint(tmp_path / "c", {"part": state})
    found = read_checkpoint(tmp_path / "c")["part"]
    assert same(found, state)
    assert found["a"] is found["tied"]


def test_what_a_state_cannot_hold_is_named(tmp_path: Path) -> None:
    for state, where in (({"a": [1, {2}]}, r"part\['a'\]\[1\] is set"), ({"f": print}, r"part\['f'\] is builtin")):
        with pytest.raises(TypeError, match=where):
            write_checkpoint(tmp_path / "c", {"part": state})
    with pytest.raises(ValueError, match="must be a file name"):
        write_checkpoint(tmp_path / "c", {"../part": 1})
    assert not [*tmp_path.iterdir()]


def test_writing_again_replaces(tmp_path: Path) -> None:
    for value in (1, 2):
        write_checkpoint(tmp_path / "c", {"part": value, f"only-{value}": 0})
    assert read_checkpoint(tmp_path / "c") == {"part": 2, "only-2": 0}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_files_are_json_and_safetensors_alone(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c", {"part": {"x": torch.ones(2), "nan": math.nan}})
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".json", ".safetensors"}

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    for path in (tmp_path / "c").glob("*.json"):
        json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("name", ["part.json", "part.safetensors", MANIFEST])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_damage_is_told_with_the_file(tmp_path: Path, name: str, harm: str) -> None:
    write_checkpoint(tmp_path / "c", {"part": {"x": torch.ones(100), "y": [1.5, 2]}})
    path = tmp_path / "c" / name
    data = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    else:
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data if harm == "flip" else data[:-3])
    # A sum that was changed is told of the file that no longer has it.
    told = r"c/\w+\.\w+" if (name, harm) == (MANIFEST, "flip") else rf"{name}[' .]"
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(tmp_path / "c")


def test_another_format_and_no_checkpoint_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / "nothing")
    write_checkpoint(tmp_path / "c", {"part": 1})
    manifest = tmp_path / "c" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(CheckpointError, match="format 2"):
        read_checkpoint(tmp_path / "c")


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from tgframe.errors import RunFolderError
from tgframe.runtime.checkpoint import write_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, part = Path(sys.argv[1]), {sys.argv[2]: torch.ones(50_000)} if sys.argv[2] == "tensor" else ["x" * 99_000]
write_checkpoint(folder / "c", {"part": 1})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write_checkpoint(folder / "c", {"part": part})
except RunFolderError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
@pytest.mark.parametrize("kind", ["tensor", "text"])
def test_a_full_disk_keeps_the_old_checkpoint(tmp_path: Path, kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path), kind], capture_output=True, text=True)
    assert "could not be written" in done.stdout, done.stderr
    assert "Free space" in done.stdout
    assert read_checkpoint(tmp_path / "c") == {"part": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="could not be written"):
        write_checkpoint(tmp_path / "file" / "c", {"part": 1})
