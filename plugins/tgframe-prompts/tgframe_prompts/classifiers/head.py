"""A language model that is asked for a few tokens at one position of each input.

Most of the work of a small model is thrown away then: logits of the whole vocabulary at all positions, and the last
layer's states of all other positions. Here the head keeps only the rows of the wanted tokens, and the states are
reduced to the position that is read, in the last layer where its build is known, else before the head. That is done
from outside, for any model that treats positions alike, and kept only if a trial input gets the same logits as from the
whole model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

_CLOSE = 1e-4  # far below what a wrong reduction would do, far above what another order of sums does


class PositionHead:
    """Logits of some tokens at one position of each input."""

    def __init__(self, model: Any, tokens: Tensor) -> None:
        self.model = model
        self.tokens = tokens.to(next(model.parameters()).device)
        self.reduced: tuple[str, ...] = ()
        """What was reduced: ``head`` and ``layer``, ``head``, or nothing, which is slower but never wrong."""
        self._positions: Tensor = torch.empty(0)
        self._hooks: list[Any] = []
        self._whole_head = model.get_output_embeddings()
        self._reduce()

    def logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """Return float ``[M,C]`` of int64 ids ``[M,L]``, mask ``[M,L]`` or None, and int64 positions ``[M]``."""
        self._positions = positions
        mask = torch.ones_like(ids) if mask is None else mask  # else transformers asks for one, in a warning
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        return logits[:, 0] if self.reduced else self._pick(logits)[:, 0, self.tokens]

    @torch.inference_mode()
    def _reduce(self) -> None:
        if not isinstance(self._whole_head, nn.Linear) or self.model.base_model is self.model:
            return
        trial = self._trial()
        whole = self.logits(*trial)
        for parts in (("head", "layer"), ("head",)):
            try:
                self._apply(parts)
                if torch.allclose(self.logits(*trial), whole, atol=_CLOSE, rtol=_CLOSE):
                    return
            except (RuntimeError, ValueError, TypeError, IndexError, AttributeError):
                pass  # a model of another build
            self._undo()

    def _trial(self) -> tuple[Tensor, Tensor, Tensor]:
        device = self.tokens.device
        ids = torch.arange(18, device=device).reshape(3, 6) % self.model.get_input_embeddings().num_embeddings
        mask = (torch.arange(6, device=device) < torch.tensor([[6], [4], [6]], device=device)).long()
        return ids, mask, torch.tensor([5, 2, 0], device=device)

    def _apply(self, parts: Sequence[str]) -> None:
        self.reduced = tuple(parts)
        self._hooks.append(self.model.base_model.register_forward_hook(self._keep_of_output))
        self.model.set_output_embeddings(_rows(self._whole_head, self.tokens))
        if "layer" in parts:
            # Keys and values need every position, but what the layer does after attention is for each position alone.
            attention = self.model.base_model.encoder.layer[-1].attention
            self._hooks.append(attention.self.register_forward_hook(self._keep_of_output))
            self._hooks.append(attention.output.register_forward_pre_hook(self._keep_of_residual))

    def _undo(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()
        self.model.set_output_embeddings(self._whole_head)
        self.reduced = ()

    def _pick(self, states: Tensor) -> Tensor:
        """Return ``[M,1,…]``, the position that is read; a single position is that one already."""
        if states.shape[1] == 1:
            return states
        return states[torch.arange(len(states), device=states.device), self._positions].unsqueeze(1)

    def _keep_of_output(self, module: nn.Module, args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (self._pick(output[0]), *output[1:])
        output["last_hidden_state"] = self._pick(output[0])
        return output

    def _keep_of_residual(self, module: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return args[0], self._pick(args[1])


def _rows(head: nn.Linear, tokens: Tensor) -> nn.Linear:
    """Return a copy of ``head`` for some of its outputs."""
    small = nn.Linear(head.in_features, len(tokens), bias=head.bias is not None, device=tokens.device)
    small.weight = nn.Parameter(head.weight[tokens].clone(), requires_grad=False)
    if head.bias is not None:
        small.bias = nn.Parameter(head.bias[tokens].clone(), requires_grad=False)
    return small
