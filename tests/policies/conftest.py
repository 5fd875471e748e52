"""Small random models that have opinions, with tokenizers of letters, saved in folders."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import torch

from tgframe.testing import make_context, make_tokenizer

ALPHABET = "abcdefghij "
END = len(ALPHABET)


def write_model(folder: Path, seed: int = 0, positions: int = 64) -> Path:
    """Write a 2 x 32 model whose next-token distributions are far from uniform, and end often enough."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=END + 1,
        n_positions=positions,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=END,
        eos_token_id=END,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = GPT2LMHeadModel(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2:
                    parameter.mul_(8.0 if "wte" in name else 4.0)
    model.save_pretrained(folder)
    make_tokenizer(ALPHABET).save_pretrained(folder)
    return folder


def write_seq2seq(folder: Path, kind: str, seed: int = 0, alphabet: str = ALPHABET) -> Path:
    """Write an encoder-decoder model of 2 + 2 layers: ``t5``, ``bart``, or ``bert`` (an ``EncoderDecoderModel``).

    Their tokenizers put other special tokens around a source, and BERT's knows neither bos nor eos. Does nothing where
    there is a model already.
    """
    if not (folder / "config.json").exists():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = {"t5": _t5, "bart": _bart, "bert": _bert}[kind](len(alphabet))
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim == 2:
                        parameter.mul_({"t5": 1.5, "bart": 8.0, "bert": 8.0}[kind])
        model.save_pretrained(folder)
        _special_tokenizer(kind, alphabet).save_pretrained(folder)
    return folder


PAD, START = END + 1, END + 2
"""Of the encoder-decoder models; END is their end token, or BERT's separator."""
POSITIONS = 48


def _vocabulary(end: int) -> dict[str, int]:
    return {"vocab_size": end + 3, "pad_token_id": end + 1}


def _t5(end: int) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    ids = {"eos_token_id": end, "decoder_start_token_id": end + 1, **_vocabulary(end)}
    return T5ForConditionalGeneration(T5Config(d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, **ids))


def _bart(end: int) -> Any:
    from transformers import BartConfig, BartForConditionalGeneration

    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 64))
    }
    ids = {"bos_token_id": end + 2, "eos_token_id": end, "decoder_start_token_id": end, **_vocabulary(end)}
    model = BartForConditionalGeneration(
        BartConfig(d_model=32, max_position_embeddings=POSITIONS, dropout=0.5, **sides, **ids)
    )
    model.generation_config.forced_bos_token_id = end + 2
    model.generation_config.forced_eos_token_id = None  # it would cut completions short of the model's own end
    torch.nn.init.normal_(model.final_logits_bias)
    model.final_logits_bias[0, end] += 2.5
    return model


def _bert(end: int) -> Any:
    from transformers import BertConfig, EncoderDecoderConfig, EncoderDecoderModel

    def config(width: int) -> Any:
        return BertConfig(
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=POSITIONS,
            **_vocabulary(end),
        )

    return EncoderDecoderModel(EncoderDecoderConfig.from_encoder_decoder_configs(config(48), config(32)))


def _special_tokenizer(kind: str, alphabet: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, processors
    from transformers import PreTrainedTokenizerFast

    end, pad, start = ("[SEP]", "[PAD]", "[CLS]") if kind == "bert" else ("</s>", "<pad>", "<s>")
    vocabulary = {token: i for i, token in enumerate([*alphabet, end, pad, start])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    around = f"$A {end}" if kind == "t5" else f"{start} $A {end}"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=around, special_tokens=[(end, vocabulary[end]), (start, vocabulary[start])]
    )
    names = {"t5": {"eos_token": end}, "bart": {"bos_token": start, "eos_token": end}}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, **names.get(kind, {"cls_token": start, "sep_token": end})
    )


@pytest.fixture(scope="session")
def seq2seq_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The saved encoder-decoder models, by kind."""
    return {kind: write_seq2seq(tmp_path_factory.mktemp(kind), kind) for kind in ("t5", "bart", "bert")}


@pytest.fixture(scope="session")
def seq2seq_letters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same architectures over all that a keyboard writes, for the contract."""
    alphabet = string.ascii_letters + string.digits + string.punctuation + " "
    return {
        kind: write_seq2seq(tmp_path_factory.mktemp(kind), kind, alphabet=alphabet) for kind in ("t5", "bart", "bert")
    }


@pytest.fixture(params=["t5", "bart", "bert"])
def seq2seq(request: pytest.FixtureRequest, seq2seq_folders: dict[str, Path]) -> Any:
    """A policy over each of them."""
    from tgframe.policies.seq2seq import Seq2Seq

    return Seq2Seq(str(seq2seq_folders[request.param])).build(make_context())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved model."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same shape with other weights."""
    return write_model(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(params=["causal", "adaptor"])
def policy(request: pytest.FixtureRequest, folder: Path) -> Any:
    """Both policies over the same model; the adaptor's weights are large enough to matter."""
    from tgframe.policies.adaptor import Adaptor
    from tgframe.policies.causal import Causal

    specifications = {"causal": Causal(str(folder)), "adaptor": Adaptor(str(folder), hidden=48, gain=2.0, bias=0.1)}
    return specifications[request.param].build(make_context())


@pytest.fixture
def prompts(policy: Any) -> Any:
    """Prompts of different lengths, one of them empty."""
    return policy.encode(["abc", "", "a longer bead", "jig"], ["0", "1", "2", "3"])


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let ``torch.compile`` capture passes without making code of them, which takes a minute; list what it captures."""
    graphs: list[Any] = []
    original = torch.compile

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()

    def capture(run: Any, mode: str | None = None, **options: Any) -> Any:  # a mode is of torch's own backend
        return original(run, backend=backend, **options)

    monkeypatch.setattr(torch, "compile", capture)
    return graphs
