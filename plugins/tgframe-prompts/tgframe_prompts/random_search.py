"""The baseline that every search has to beat: uniform prompts, for the same number of calls."""

from __future__ import annotations

from tgframe_prompts.equal_calls import EqualCalls

_AT_ONCE = 256


class RandomSearch(EqualCalls):
    """Judges uniform prompts."""

    def propose(self, room: int) -> list[str]:
        return self.draw(min(_AT_ONCE, room))
