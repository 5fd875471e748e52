"""Language models are loaded as what their folder says they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tgframe.errors import ModelError
from tgframe.runtime.pretrained import load_causal, load_language_model, load_seq2seq
from tgframe.testing import write_tiny_model


@pytest.mark.parametrize(("architecture", "name"), [("causal", "GPT2LMHeadModel"), ("seq2seq", "T5ForConditional")])
def test_the_configuration_says_which_kind_it_is(architecture: str, name: str, tmp_path: Path) -> None:
    write_tiny_model(tmp_path, architecture)  # type: ignore[arg-type]
    model, tokenizer = load_language_model(str(tmp_path))
    assert type(model).__name__.startswith(name)
    assert not model.training
    assert len(tokenizer) == 257


def test_the_other_kind_is_refused(tmp_path: Path) -> None:
    causal, seq2seq = (write_tiny_model(tmp_path / kind, kind) for kind in ("causal", "seq2seq"))
    with pytest.raises(ModelError, match="could not be loaded"):
        load_seq2seq(str(causal))
    with pytest.raises(ModelError, match="could not be loaded"):
        load_causal(str(seq2seq))


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        load_language_model(str(tmp_path / "nothing" / "here"))
    with pytest.raises(ModelError, match=r"holds no 'config\.json'"):
        load_language_model(str(tmp_path))
