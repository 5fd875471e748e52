"""The reference model as the run sees it: frozen, in evaluation mode, and asked once about what comes again."""

from __future__ import annotations

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor, nn

from tgframe.errors import ModelError
from tgframe.interfaces.policy import Draw, Limits, Policy, Scores
from tgframe.policies.modes import evaluating

if TYPE_CHECKING:
    from pathlib import Path

    from tgframe.interfaces.batch import Prompts, Rollouts

MEMORY_BYTES = 2**28
"""Most memory for remembered scores, 256 MiB: about 600,000 completions of 32 tokens."""
KEY_BYTES = 16
"""Length of a key."""
ENTRY_BYTES = 320
"""What a remembered completion takes beside its numbers: key, array, place in the table."""

Off = Callable[[], contextlib.AbstractContextManager[None]]


class ReferencePolicy(nn.Module, Policy):
    """A policy that is only ever asked: without gradient, in evaluation mode, inside the context that ``off`` returns.

    The policy inside is no submodule: it may be the one that is improved, and ``off`` what switches off its adapters.

    Completions that were not drawn (without ``sample_logprobs``: read from data or written by people) come again in
    each pass over the data. Their scores are remembered on the CPU by the tokens of prompt, prefix and completion, on
    which alone they depend; the least recently used are forgotten first. Drawn completions are scored each time. A
    checkpoint holds what is remembered: scored again in other batches, a completion would be rounded differently.
    """

    def __init__(self, policy: Policy, off: Off = contextlib.nullcontext, memory_bytes: int = MEMORY_BYTES) -> None:
        super().__init__()
        self._held = (policy,)
        self._off = off
        self._memory = Memory(memory_bytes)
        self.tokenizer = policy.tokenizer
        self.decoding = policy.decoding
        self.version = policy.version
        self.hidden_size = policy.hidden_size

    @property
    def policy(self) -> Policy:
        """The policy inside."""
        return self._held[0]

    def score(
        self, rollouts: Rollouts, want: frozenset[str] = frozenset(), *, prefix: tuple[int, ...] | None = None
    ) -> Scores:
        """Score completions (see :meth:`tgframe.interfaces.policy.Policy.score`), never with gradient."""
        prefix = self.decoding.prefix if prefix is None else prefix
        if rollouts.sample_logprobs is not None or "hidden" in want:
            return self._fresh(rollouts, want, prefix)
        return self._remembered(rollouts, want, prefix)

    def get_extra_state(self) -> dict[str, Any]:
        """Return what is remembered: scored again, in other batches, it could differ in the last bit."""
        return self._memory.state_dict()

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`get_extra_state` returned."""
        self._memory.load_state_dict(state)

    def _fresh(self, rollouts: Rollouts, want: frozenset[str], prefix: tuple[int, ...]) -> Scores:
        with self._asked() as policy:
            return policy.score(rollouts, want, prefix=prefix)

    def _remembered(self, rollouts: Rollouts, want: frozenset[str], prefix: tuple[int, ...]) -> Scores:
        """Score the prompts with a completion that is not known yet; take the others from memory."""
        names = ["logprobs", *sorted(want)]
        keys = _keys(rollouts, prefix, names)
        found = torch.zeros(len(names), *rollouts.tokens.shape)
        unknown = [row for row, group in enumerate(keys) if not self._recall(group, found[:, row])]
        device = rollouts.tokens.device
        if unknown:
            fresh = self._fresh(rollouts.rows(unknown), want, prefix)
            device = fresh.logprobs.device
            found[:, unknown] = torch.stack([getattr(fresh, name) for name in names]).float().cpu()
            lengths = rollouts.lengths.tolist()
            for row in unknown:
                for k, key in enumerate(keys[row]):
                    self._memory.put(key, found[:, row, k, : lengths[row][k]])
        return Scores(**dict(zip(names, found.to(device), strict=True)))

    def _recall(self, group: Sequence[bytes], into: Tensor) -> bool:
        """Put the known scores of one prompt's completions into zeros ``[F,K,T]``; return whether all are known."""
        known = [self._memory.get(key) for key in group]
        for k, scores in enumerate(known):
            if scores is not None:
                into[:, k, : scores.shape[-1]] = scores
        return all(scores is not None for scores in known)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[Policy]:
        (policy,) = self._held
        with torch.no_grad(), evaluating(policy), self._off():  # type: ignore[arg-type]  # a policy is a module
            yield policy

    def sample(self, prompts: Prompts, k: int, draw: Draw, limits: Limits, generator: torch.Generator) -> Rollouts:
        """Write completions (see :meth:`tgframe.interfaces.policy.Policy.sample`)."""
        with self._asked() as policy:
            return policy.sample(prompts, k, draw, limits, generator)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return logits (see :meth:`tgframe.interfaces.policy.Policy.forward`), never with gradient."""
        with self._asked() as policy:
            return policy.forward(tokens, mask)

    def encode(
        self,
        texts: Sequence[str],
        ids: Sequence[str],
        *,
        split: str = "train",
        columns: Mapping[str, Sequence[Any]] | None = None,
        max_tokens: int | None = None,
    ) -> Prompts:
        """Tokenize prompt texts (see :meth:`tgframe.interfaces.policy.Policy.encode`)."""
        return self._held[0].encode(texts, ids, split=split, columns=columns, max_tokens=max_tokens)

    def complete(
        self, prompts: Prompts, texts: Sequence[Sequence[str]], *, max_tokens: int | None = None, end: bool = True
    ) -> Rollouts:
        """Tokenize given completions (see :meth:`tgframe.interfaces.policy.Policy.complete`)."""
        return self._held[0].complete(prompts, texts, max_tokens=max_tokens, end=end)

    def trainable(self) -> tuple[nn.Parameter, ...]:
        """Nothing: a reference stays as it is."""
        return ()

    def save_pretrained(self, folder: Path) -> None:
        """Raise :class:`~tgframe.errors.ModelError`: a reference is never saved."""
        raise ModelError("A reference model never changes, so it is not saved. Save the model that it was made of.")


class Memory:
    """Numbers of completions by key, on the CPU; past its size the least recently used are forgotten."""

    def __init__(self, size: int) -> None:
        self.size = size
        """Most bytes."""
        self.used = 0
        """Bytes in use."""
        self._entries: OrderedDict[bytes, numpy.ndarray[Any, Any]] = OrderedDict()

    def state_dict(self) -> dict[str, Any]:
        """Return all entries, the least recently used first, as three tensors: N keys, N shapes, all numbers."""
        keys = b"".join(self._entries)
        numbers = [entry.ravel() for entry in self._entries.values()]
        return {
            "keys": torch.frombuffer(bytearray(keys), dtype=torch.uint8) if keys else torch.empty(0, dtype=torch.uint8),
            "shapes": torch.tensor([entry.shape for entry in self._entries.values()], dtype=torch.int64).reshape(-1, 2),
            "numbers": torch.from_numpy(numpy.concatenate(numbers)) if numbers else torch.empty(0),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state_dict` returned."""
        self._entries.clear()
        self.used = 0
        keys, shapes = state["keys"].numpy().tobytes(), state["shapes"].tolist()
        numbers = state["numbers"].split([features * length for features, length in shapes])
        for place, (shape, flat) in enumerate(zip(shapes, numbers, strict=True)):
            self.put(keys[place * KEY_BYTES : (place + 1) * KEY_BYTES], flat.reshape(shape))

    def get(self, key: bytes) -> Tensor | None:
        """Return float32 ``[F,T]`` as it was put, or None."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return torch.from_numpy(found)

    def put(self, key: bytes, numbers: Tensor) -> None:
        """Remember float32 ``[F,T]``."""
        if key in self._entries:
            return
        self._entries[key] = kept = numbers.numpy().copy()
        self.used += kept.nbytes + ENTRY_BYTES
        while self.used > self.size:
            _, old = self._entries.popitem(last=False)
            self.used -= old.nbytes + ENTRY_BYTES


def _keys(rollouts: Rollouts, prefix: tuple[int, ...], names: Sequence[str]) -> list[list[bytes]]:
    """Return a key for each of ``[B,K]`` completions: a digest of everything that its scores depend on.

    Tokens, not ids: an id is stable within a task, but texts that people ask about have ids that come again.
    """
    prompts = rollouts.prompts
    prompt_rows = [_real(*row) for row in zip(prompts.tokens.cpu(), prompts.mask.cpu(), strict=True)]
    tokens, mask = rollouts.tokens.cpu(), rollouts.mask.cpu()
    keys = []
    for row, prompt in enumerate(prompt_rows):
        head = hashlib.blake2b(repr((names, prefix, len(prompt))).encode() + prompt, digest_size=KEY_BYTES)
        keys.append([_digest(head, _real(*one)) for one in zip(tokens[row], mask[row], strict=True)])
    return keys


def _real(tokens: Tensor, mask: Tensor) -> bytes:
    return tokens[mask].numpy().tobytes()


def _digest(head: Any, completion: bytes) -> bytes:
    whole = head.copy()
    whole.update(completion)
    return bytes(whole.digest())


def check_vocabulary(reference: Policy, policy: Policy, name: str) -> None:
    """Raise :class:`~tgframe.errors.ModelError` unless each token of ``reference`` has the id that ``policy`` gives it.

    Under another vocabulary its log-probabilities would be those of other tokens. The policy may have more tokens.
    """
    own, policys = reference.tokenizer.get_vocab(), policy.tokenizer.get_vocab()
    differing = [token for token, index in own.items() if policys.get(token) != index]
    if differing:
        token = differing[0]
        raise ModelError(
            f"`reference.model` must have the policy's vocabulary, but {name!r} differs in {len(differing)} of its "
            f"{len(own)} tokens ({token!r} is {own[token]} there and {policys.get(token, 'absent')} in the policy). "
            "Choose a model of the policy's family."
        )
