"""Judging prompts against its floor: texts a second through the classifier, from strings to preferences.

    python benchmarks/judging.py --output benchmarks/results/judging.json

Ours joins 16 prompts with 80 texts, tokenises, sorts by length, pads, runs the classifier and reads the classes.
The floors get all of that done beforehand, and only make these passes over the same batches:

    whole     model(input_ids, attention_mask).logits, then the mask's row and the classes' columns
    reduced   the backbone alone, then the head at the mask, for the classes' rows

Ours does less than both in the last layer, of which only the mask's state is wanted; that is why it can win.

Each round measures all three, one after the other, and gives one ratio each; medians over the rounds are reported.
`--busy` counts processor time of one thread instead of seconds, for machines that do other things as well.
"""

from __future__ import annotations

import argparse
import inspect
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

from tgframe.testing import make_context
from tgframe_prompts.batching import by_length, pad
from tgframe_prompts.classifiers.masked import MaskedClassifier
from tgframe_prompts.examples import Examples
from tgframe_prompts.judge import Judge
from tgframe_prompts.scorer import Scorer
from tgframe_prompts.template import parse

WORDS = ("string", "number", "file", "list", "class")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def paragraphs() -> list[str]:
    """Return paragraphs of the standard library's docstrings."""
    modules = (argparse, inspect, json, platform, statistics)
    found = []
    for module in modules:
        for value in [module, *vars(module).values()]:
            text = inspect.getdoc(value) or "" if inspect.ismodule(value) or callable(value) else ""
            found += [" ".join(part.split()) for part in text.split("\n\n")]
    return sorted({text[:280] for text in found if len(text) > 60})


def random_model(layers: int, width: int, vocabulary: int) -> tuple[Any, Any]:
    """Return an untrained RoBERTa and a byte-level BPE: speed does not ask what they have learned."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*paragraphs(), *(f"{word} {word}" for word in WORDS)] * 3, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    mask = AddedToken("<mask>", lstrip=True, special=True)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=mask, **names)
    config = RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        max_position_embeddings=130,
    )
    return RobertaForMaskedLM(config).eval().requires_grad_(False), wrapped


def make_scorer(model: Any, tokenizer: Any, texts: list[str]) -> Scorer:
    classifier = MaskedClassifier(model, tokenizer, 128)
    classifier.verbalize(
        {word: word for word in WORDS if len(tokenizer(word, add_special_tokens=False).input_ids) == 1}
    )
    examples = Examples("train", tuple(texts), torch.zeros(len(texts), dtype=torch.int64))
    return Scorer(classifier, parse("{text}{prompt}{mask}"), "right", {"train": examples}, make_context().runtime)


def make_prompts(tokenizer: Any, count: int, generator: torch.Generator) -> list[str]:
    drawn = torch.randint(len(SPECIAL), len(tokenizer), (count, 5), generator=generator)
    return [tokenizer.decode(row) for row in drawn]


def make_batches(scorer: Scorer, prompts: list[str]) -> list[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]]:
    """Return exactly the batches that the scorer makes of all pairs."""
    places = list(range(len(scorer.inputs["train"].texts)))
    inputs = scorer.inputs["train"].join([p for p in prompts for _ in places], places * len(prompts))
    batches = []
    for batch in by_length([len(each.ids) for each in inputs], scorer.batch_tokens):
        ids, mask = pad([inputs[i].ids for i in batch], scorer.classifier.pad_id)
        batches.append((ids, mask, torch.tensor([inputs[i].position for i in batch])))
    return batches


@torch.inference_mode()
def whole(model: Any, columns: torch.Tensor, batches: Any) -> None:
    for ids, mask, positions in batches:
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids) if mask is None else mask).logits
        logits[torch.arange(len(ids)), positions][:, columns]


@torch.inference_mode()
def reduced(model: Any, columns: torch.Tensor, batches: Any) -> None:
    head = model.lm_head
    for ids, mask, positions in batches:
        states = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
        features = head.layer_norm(torch.nn.functional.gelu(head.dense(states[torch.arange(len(ids)), positions])))
        torch.nn.functional.linear(features, head.decoder.weight[columns], head.decoder.bias[columns])


def rounds(options: argparse.Namespace) -> Iterator[dict[str, float]]:
    """Yield the cost of ours and of both floors, per text."""
    torch.manual_seed(0)
    if options.model:
        tokenizer = AutoTokenizer.from_pretrained(options.model)
        bare, ours = (AutoModelForMaskedLM.from_pretrained(options.model, dtype=torch.float32).eval() for _ in range(2))
    else:
        bare, tokenizer = random_model(options.layers, options.width, options.vocabulary)
        ours = type(bare)(bare.config).eval()
        ours.load_state_dict(bare.state_dict())
    texts = paragraphs()[: options.texts]
    scorer = make_scorer(ours, tokenizer, texts)
    if options.batch_tokens:
        scorer.batch_tokens = options.batch_tokens
    columns, generator = scorer.classifier.head.tokens, torch.Generator().manual_seed(0)
    clock = time.process_time if options.busy else time.perf_counter

    def timed(work: Callable[..., Any], *given: Any) -> float:
        start = clock()
        work(*given)
        return (clock() - start) / (options.prompts * len(texts))

    for _ in range(options.rounds + 1):
        prompts = make_prompts(tokenizer, options.prompts, generator)
        batches = make_batches(scorer, prompts)
        yield {
            "ours": timed(Judge(scorer).logits, prompts, "train"),
            "whole": timed(whole, bare, columns, batches),
            "reduced": timed(reduced, bare, columns, batches),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or hub name of a RoBERTa; default: an untrained one of the sizes below")
    for name, default in {
        "layers": 4,
        "width": 192,
        "vocabulary": 8000,
        "prompts": 16,
        "texts": 80,
        "rounds": 9,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--batch-tokens", type=int)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.busy:
        torch.set_num_threads(1)
    found = list(rounds(options))[1:]
    result = {
        "model": options.model or f"{options.layers} layers, width {options.width}, vocabulary {options.vocabulary}",
        "pairs": options.prompts * options.texts,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "torch": torch.__version__,
        "milliseconds_per_text": {k: 1000 * statistics.median(each[k] for each in found) for k in found[0]},
        "throughput_over_whole": statistics.median(each["whole"] / each["ours"] for each in found),
        "throughput_over_reduced": statistics.median(each["reduced"] / each["ours"] for each in found),
    }
    print(json.dumps(result, indent=2))
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
