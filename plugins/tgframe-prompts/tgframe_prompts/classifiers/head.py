"""A language model that is asked for a few tokens at one position of each input.

The logits of whole vocabularies at all positions are most of the work of a small model, and are thrown away. Here
the states that the backbone hands to the head are reduced to the position that is read, and the head's last layer to
the rows of the wanted tokens. That is done from outside, for any head that treats positions alike, and kept only if a
trial input gets the same logits as from the whole model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_CLOSE = 1e-4  # far below what a wrong head would do, far above what another order of sums does


class PositionHead:
    """Logits of some tokens at one position of each input."""

    def __init__(self, model: Any, tokens: Tensor) -> None:
        self.model = model
        self.tokens = tokens.to(next(model.parameters()).device)
        self.reduced = False
        """Whether the head does only what is needed; False is slower, never wrong."""
        self._positions: Tensor | None = None
        self._try_reduced()

    def logits(self, ids: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """Return float ``[M,C]`` of int64 ids ``[M,L]``, mask ``[M,L]`` or None, and int64 positions ``[M]``."""
        self._positions = positions
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        if self.reduced:
            return logits[:, 0]
        return logits[torch.arange(len(ids), device=ids.device), positions][:, self.tokens]

    @torch.inference_mode()
    def _try_reduced(self) -> None:
        head, backbone = self.model.get_output_embeddings(), self.model.base_model
        if not isinstance(head, nn.Linear) or backbone is self.model:
            return
        device = self.tokens.device
        trial = torch.arange(8, device=device).reshape(2, 4), None, torch.tensor([1, 3], device=device)
        whole = self.logits(*trial)
        hook = backbone.register_forward_hook(self._keep_position)
        self.model.set_output_embeddings(_rows(head, self.tokens))
        self.reduced = True
        try:
            fits = torch.allclose(self.logits(*trial), whole, atol=_CLOSE, rtol=_CLOSE)
        except (RuntimeError, ValueError, TypeError, IndexError):
            fits = False  # a head that does more than treat positions alike
        if not fits:
            hook.remove()
            self.model.set_output_embeddings(head)
            self.reduced = False

    def _keep_position(self, module: nn.Module, args: Any, output: Any) -> Any:
        states = output[0]
        kept = states[torch.arange(len(states), device=states.device), self._positions].unsqueeze(1)
        if isinstance(output, tuple):
            return (kept, *output[1:])
        output["last_hidden_state"] = kept
        return output


def _rows(head: nn.Linear, tokens: Tensor) -> nn.Linear:
    """Return a copy of ``head`` for some of its outputs."""
    small = nn.Linear(head.in_features, len(tokens), bias=head.bias is not None, device=tokens.device)
    small.weight = nn.Parameter(head.weight[tokens].clone(), requires_grad=False)
    if head.bias is not None:
        small.bias = nn.Parameter(head.bias[tokens].clone(), requires_grad=False)
    return small
