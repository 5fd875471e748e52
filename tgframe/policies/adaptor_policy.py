"""The working part behind :class:`tgframe.policies.adaptor.Adaptor`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tgframe.errors import CheckpointError, ModelError
from tgframe.interfaces.batch import Prompts, Rollouts
from tgframe.interfaces.context import Runtime
from tgframe.interfaces.policy import Limits
from tgframe.policies.head import logits_of
from tgframe.policies.language_model_policy import PLAIN, LanguageModelPolicy
from tgframe.policies.passes import Passes
from tgframe.policies.storage import save_language_model, sha256_of
from tgframe.runtime.files import writing
from tgframe.runtime.pretrained import load_causal

WEIGHTS = "adaptor.safetensors"
BACKBONE = "backbone"


class AdaptorPolicy(LanguageModelPolicy):
    """A frozen language model with a trained MLP on its last hidden state.

    The backbone is no submodule: it never trains, never leaves evaluation mode, is shared by copies of the policy, and
    is not in ``state_dict``, which holds its sha256 instead. ``hidden`` scores are the backbone's states, without
    gradient: the MLP's own output says next to nothing before it is trained.
    """

    def __init__(
        self,
        model: Any,
        adaptor: nn.Sequential,
        tokenizer: Any,
        runtime: Runtime,
        name: str,
        passes: Passes = PLAIN,
    ) -> None:
        super().__init__(model, tokenizer, runtime, name, passes)
        self._backbone = _Frozen(model.requires_grad_(False).eval())
        self.adaptor = adaptor
        self.eval()

    @property
    def language_model(self) -> Any:
        """The frozen ``transformers`` model inside."""
        return self._backbone.model

    def beam(self, prompts: Prompts, k: int, limits: Limits, *, beams: int, length_penalty: float = 1.0) -> Rollouts:
        """Raise :class:`~tgframe.errors.ModelError`: ``generate`` would search without the MLP."""
        raise ModelError("A policy 'adaptor' has no beam search. Use sampler 'greedy', or another policy.")

    def _reading(self) -> AbstractContextManager[None]:
        return torch.no_grad()

    def _logits(self, states: Tensor) -> Tensor:
        head = self.language_model.get_output_embeddings().weight.dtype
        return logits_of(self.language_model, self.adaptor(states.float()).to(head))

    def trainable(self) -> Iterable[nn.Parameter]:
        """The parameters of the MLP."""
        return list(self.adaptor.parameters())

    def get_extra_state(self) -> Tensor:
        """Return the version and the sha256 of the frozen weights, int64 ``[1+4]``."""
        return torch.cat([super().get_extra_state(), self._backbone.digest()])

    def set_extra_state(self, state: Tensor) -> None:
        """Set the version. Raises :class:`~tgframe.errors.CheckpointError` when the frozen weights are other ones."""
        if not torch.equal(state[1:].cpu(), self._backbone.digest()):
            raise CheckpointError(
                f"The state was trained on other frozen weights than those of {self.name!r}. "
                "Use the model, and its dtype, that the checkpoint was written with."
            )
        super().set_extra_state(state)

    def save_pretrained(self, folder: Path) -> None:
        """Write the MLP, and the frozen model with its tokenizer to ``backbone/``: all that :meth:`load` needs."""
        save_language_model(folder / BACKBONE, self.language_model, self.tokenizer)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.adaptor.state_dict().items()}
        with writing(folder):
            save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path, runtime: Runtime) -> AdaptorPolicy:
        """Return the policy that :meth:`save_pretrained` wrote. Raises :class:`~tgframe.errors.ModelError`."""
        model, tokenizer = load_causal(str(folder / BACKBONE))
        try:
            weights = load_file(folder / WEIGHTS)
            hidden, width = weights["0.weight"].shape
            adaptor = make_adaptor(width, hidden, 1.0, 0.0, torch.Generator())
            adaptor.load_state_dict(weights)
        except Exception as error:
            raise ModelError(
                f"{str(folder / WEIGHTS)!r} could not be loaded: {error}. Name a folder that `save_pretrained` wrote."
            ) from error
        device = runtime.device
        return cls(model.to(device), adaptor.to(device), tokenizer, runtime, str(folder))

    def _shared(self) -> list[Any]:
        return [*super()._shared(), self._backbone]


class _Frozen:
    """Holds a model where ``nn.Module`` does not look."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self._digest: Tensor | None = None

    def digest(self) -> Tensor:
        """Return the sha256 of the weights as int64 ``[4]``; computed once."""
        if self._digest is None:
            self._digest = torch.frombuffer(bytearray(sha256_of(self.model.state_dict())), dtype=torch.int64)
        return self._digest


def make_adaptor(width: int, hidden: int, gain: float, bias: float, generator: torch.Generator) -> nn.Sequential:
    """Return the MLP ``D -> hidden -> D`` with ReLU: Xavier-uniform weights of ``gain``, all biases ``bias``."""
    into, out = nn.Linear(width, hidden), nn.Linear(hidden, width)
    for layer in (into, out):
        nn.init.xavier_uniform_(layer.weight, gain, generator=generator)
        nn.init.constant_(layer.bias, bias)
    return nn.Sequential(into, nn.ReLU(), out)
