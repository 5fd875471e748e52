"""A frozen sentence encoder at work."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from tgframe import load_model, load_tokenizer
from tgframe_summarization.scoring import Pair, Several, together

if TYPE_CHECKING:
    from tgframe import Context, Runtime
    from tgframe_summarization.encoder import Encoder


class SentenceEncoder:
    """Unit vectors of texts, each text computed once as long as it is remembered."""

    def __init__(self, options: Encoder, model: Any, tokenizer: Any, runtime: Runtime) -> None:
        self.options = options
        self.model = model
        self.tokenizer = tokenizer
        self.runtime = runtime
        self.max_length = _longest(model, tokenizer, options.max_length)
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    @classmethod
    def load(cls, options: Encoder, context: Context) -> SentenceEncoder:
        """Load model and tokenizer, frozen, on the run's device."""
        from transformers import AutoModel

        where = context.locate(options.model)
        model = load_model(AutoModel, where, may_lack=("pooler",))  # its states are pooled here
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        model = model.to(context.runtime.device).eval().requires_grad_(False)
        return cls(options, model, load_tokenizer(where), context.runtime)

    def similarities(self, pairs: Sequence[Pair], several: Several) -> list[float]:
        """Return the cosine of each summary and its targets, in -1..1; 0 where one of them is empty."""
        vectors = self.embed([text for summary, targets in pairs for text in (summary, *targets)])
        return [
            together([float(vectors[summary] @ vectors[target]) for target in targets], several)
            for summary, targets in pairs
        ]

    def embed(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the vector of each text, float32 ``[D]`` on the CPU: of length 1, or 0 for an empty text."""
        wanted = dict.fromkeys(texts)
        found = {text: self._known[text] for text in wanted if text in self._known}
        found |= self._fresh([text for text in wanted if text not in found])
        for text in wanted:
            self._known[text] = found[text]
            self._known.move_to_end(text)
        while len(self._known) > self.options.remember:
            self._known.popitem(last=False)
        return found

    @torch.inference_mode()
    def _fresh(self, texts: Sequence[str]) -> dict[str, Tensor]:
        if not texts:
            return {}
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_length, verbose=False)["input_ids"]
        found: dict[str, Tensor] = {}
        for batch in _batches([len(row) for row in ids], self.options.batch_tokens):
            for place, vector in zip(batch, self._vectors([ids[place] for place in batch]), strict=True):
                found[texts[place]] = vector if texts[place].strip() else torch.zeros_like(vector)
        return found

    def _vectors(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Return float32 ``[N,D]`` vectors of rows of ids."""
        width = max(1, *map(len, rows))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        mask = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
        device = self.runtime.device
        with self.runtime.autocast():
            states = self.model(input_ids=ids.to(device), attention_mask=mask.long().to(device)).last_hidden_state
        states = states.float().cpu()
        if self.options.pooling == "first":
            return normalize(states[:, 0], dim=-1)
        return normalize((states * mask.unsqueeze(-1)).sum(1), dim=-1)


def _batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Yield places, shortest first, in batches of at most ``tokens`` tokens; one that is longer stands alone."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[place] > tokens:
            yield batch
            batch = []
        batch.append(place)
    yield batch


def _longest(model: Any, tokenizer: Any, limit: int | None) -> int:
    """Return how many tokens a text may have: the least of model, tokenizer and ``limit``."""
    found = [int(tokenizer.model_max_length)]
    for name, module in model.named_modules():
        if name.endswith(("position_embeddings", "wpe")) and isinstance(module, torch.nn.Embedding):
            # Models of the RoBERTa family count positions from the padding id on.
            found.append(module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1))
    stated = getattr(model.config, "max_position_embeddings", None)
    found += [int(value) for value in (stated, limit) if value is not None]
    return min(found)
