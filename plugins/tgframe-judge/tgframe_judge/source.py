"""The preference `judge` at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from tgframe import Preferences, PreferenceSource
from tgframe_judge.cache import Cache
from tgframe_judge.client import Client
from tgframe_judge.counts import Counts
from tgframe_judge.group import Group
from tgframe_judge.key import Key
from tgframe_judge.running import finish

if TYPE_CHECKING:
    from tgframe import Rollouts
    from tgframe_judge.options import Judge
    from tgframe_judge.parsing import Verdict
    from tgframe_judge.question import Question


class JudgeSource(PreferenceSource):
    """Asks a language model to compare completions, all questions of a batch at a time. Remembers every verdict."""

    def __init__(self, options: Judge, cache_dir: Path) -> None:
        self.options = options
        self.counts = Counts()
        self.client = Client(options, Key.read(options.key_variable), self.counts)
        self.cache = Cache(cache_dir / "judge" / "judge.sqlite")
        with self.cache.opened():  # a file that cannot be used is told before anything is trained
            pass

    def provides(self) -> frozenset[str]:
        return self.options.provides()

    @property
    def calls(self) -> int:
        """Requests that the server answered with a reply; what the cache answers is free."""
        return self.counts.calls

    def monitors(self) -> Mapping[str, float]:
        """Return the counts, and what the tokens cost at the prices of the options."""
        counts = attrs.asdict(self.counts)
        cost = (
            self.counts.prompt_tokens * self.options.price_in + self.counts.completion_tokens * self.options.price_out
        )
        return {name: value for name, value in counts.items() if name != "calls"} | {"cost": cost / 1e6}

    def judge(self, rollouts: Rollouts) -> Preferences:
        """Return mean win shares ``[B,K]``, kind ``rank``; missing where a completion was never validly compared.

        Raises :class:`~tgframe.ModelError` and :class:`~tgframe.DataError` as the client and the cache do.
        """
        prompts, present = rollouts.prompts, rollouts.present.tolist()
        rows = zip(prompts.ids, prompts.texts, rollouts.texts, present, strict=True)
        groups = [Group.of(self.options, *row) for row in rows]
        verdicts = self._verdicts({question.key: question for group in groups for question in group.questions})
        return Preferences.from_scores([group.scores(verdicts) for group in groups], "rank")

    def state_dict(self) -> dict[str, Any]:
        """Return the counts. Verdicts are in the cache, the key is nowhere."""
        return attrs.asdict(self.counts)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting where :meth:`state_dict` stood."""
        for name, count in state.items():
            setattr(self.counts, name, int(count))

    def _verdicts(self, questions: Mapping[str, Question]) -> dict[str, Verdict]:
        with self.cache.opened() as cache:
            stored = {key: cache.find(key, question.count) for key, question in questions.items()}
            found = {key: verdict for key, verdict in stored.items() if verdict is not None}
            self.counts.cached += len(found)
            unknown: Sequence[Question] = [question for key, question in questions.items() if key not in found]
            if unknown:
                found |= finish(lambda: self.client.ask(unknown, cache.store))
        return found
