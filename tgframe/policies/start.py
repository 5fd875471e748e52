"""What the decoder of an encoder-decoder model starts from, and what ends it."""

from __future__ import annotations

from typing import Any

import attrs

from tgframe.errors import ModelError
from tgframe.policies.tokens import SpecialTokens


@attrs.frozen
class Start:
    """The ids before and after what a decoder writes."""

    tokens: tuple[int, ...]
    """``decoder_start_token_id``, then ``forced_bos_token_id`` where the model has one: part of the layout, so that
    training sees what sampling sees."""
    end: int
    """Ends a completion."""
    pad: int
    """Fills rows; never read."""

    @property
    def special(self) -> SpecialTokens:
        """The same as every policy has them."""
        return SpecialTokens(self.tokens[0], self.end, self.pad)

    @classmethod
    def of(cls, model: Any, tokenizer: Any, name: str) -> Start:
        """Read them from the model's configurations, else (a model fresh from two encoders) from its tokenizer.

        Both are told what they lack, so that the tokenizer knows the end, and ``generate`` of the saved model writes
        the same. Raises :class:`~tgframe.errors.ModelError` when nothing can start or end a text.
        """
        own, config = model.generation_config, model.config
        end = _known((tokenizer, own, config), "eos_token_id", "sep_token_id")
        start = _known((own, config, tokenizer), "decoder_start_token_id", "bos_token_id", "cls_token_id")
        if end is None or start is None:
            what = "end" if end is None else "start"
            raise ModelError(f"Neither {name!r} nor its tokenizer says what can {what} a completion. {_REMEDY}")
        pad = _known((tokenizer, own, config), "pad_token_id")
        forced = _known((own, config), "forced_bos_token_id")
        found = cls((start,) if forced is None else (start, forced), end, end if pad is None else pad)
        found._tell(model, tokenizer)
        return found

    def _tell(self, model: Any, tokenizer: Any) -> None:
        if tokenizer.eos_token_id is None:
            tokenizer.eos_token = tokenizer.convert_ids_to_tokens(self.end)
        known = {"decoder_start_token_id": self.tokens[0], "eos_token_id": self.end, "pad_token_id": self.pad}
        for name, value in known.items():
            if getattr(model.generation_config, name) is None:
                setattr(model.generation_config, name, value)


_REMEDY = "Set `decoder_start_token_id` and `eos_token_id` in its generation configuration, and save it."


def _known(places: tuple[Any, ...], *names: str) -> int | None:
    """Return the first id that one of ``places`` has under one of ``names``; the first name counts most."""
    found = (getattr(place, name, None) for name in names for place in places)
    ids = (ids[0] if isinstance(ids, list) else ids for ids in found)
    return next((int(token) for token in ids if token is not None), None)
