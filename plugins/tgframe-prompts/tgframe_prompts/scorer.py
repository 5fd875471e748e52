"""Sends pairs of a prompt and a text through the classifier: the currency of the whole task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tgframe import NumericError
from tgframe_prompts.batching import by_length, pad
from tgframe_prompts.inputs import Inputs, Truncate
from tgframe_prompts.template import Template

if TYPE_CHECKING:
    from tgframe import Runtime
    from tgframe_prompts.classifiers.model import ClassifierModel
    from tgframe_prompts.examples import Examples

_PAIRS = 16_384  # joined and sorted at once: enough for even lengths, small enough for memory
_TOKENS = {"cpu": 2048, "cuda": 65_536}  # padded tokens a batch


class Scorer:
    """The classifier with its tokenised texts. Keeps no results."""

    def __init__(
        self,
        classifier: ClassifierModel,
        template: Template,
        truncate: Truncate,
        splits: Mapping[str, Examples],
        runtime: Runtime,
    ) -> None:
        self.classifier = classifier
        self.classes = classifier.classes
        self.runtime = runtime
        self.batch_tokens = _TOKENS.get(runtime.device.type, 2048)
        frame = classifier.frame(template)
        self.inputs = {name: Inputs(frame, template, examples.texts, truncate) for name, examples in splits.items()}

    @property
    def cut(self) -> dict[str, int]:
        """Texts of each split that were too long for the classifier beside some prompt, so far."""
        return {name: len(inputs.cut) for name, inputs in self.inputs.items()}

    @torch.inference_mode()
    def logits(self, split: str, prompts: Sequence[str], places: Sequence[int]) -> Tensor:
        """Return float32 logits ``[M,C]``, on the CPU, of pairs: ``prompts[m]`` with the text at ``places[m]``."""
        found = torch.empty(len(prompts), self.classes)
        for start in range(0, len(prompts), _PAIRS):
            chunk = slice(start, start + _PAIRS)
            inputs = self.inputs[split].join(prompts[chunk], places[chunk])
            for batch in by_length([len(each.ids) for each in inputs], self.batch_tokens):
                index = torch.tensor(batch) + start
                found[index] = self._forward([inputs[i].ids for i in batch], [inputs[i].position for i in batch])
        if not found.isfinite().all():
            raise NumericError(
                "The classifier's logits must be finite, but some are NaN or infinite. "
                "Check its weights, or run with `runtime.precision=fp32`."
            )
        return found

    def _forward(self, rows: Sequence[Sequence[int]], positions: Sequence[int]) -> Tensor:
        device = self.runtime.device
        ids, mask = pad(rows, self.classifier.pad_id)
        with self.runtime.autocast():
            logits = self.classifier.logits(
                ids.to(device), None if mask is None else mask.to(device), torch.tensor(positions, device=device)
            )
        return logits.float().cpu()
