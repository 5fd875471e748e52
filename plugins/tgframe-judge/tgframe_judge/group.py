"""The completions of one prompt: what is asked about them, and what the answers make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from tgframe_judge import tournament
from tgframe_judge.question import Question
from tgframe_judge.tournament import Order, Ranks

if TYPE_CHECKING:
    from tgframe_judge.options import Judge
    from tgframe_judge.parsing import Verdict


@attrs.frozen
class Group:
    """Completions of one prompt. Equal texts are one text, and absent ones are none."""

    places: tuple[int | None, ...]
    """For each of the ``K`` completions its place among the distinct texts; None where it is absent."""
    comparisons: tuple[tuple[tuple[Order, Question], ...], ...]
    """What is asked: each comparison in one order, or in two."""

    @classmethod
    def of(cls, options: Judge, prompt_id: str, prompt: str, texts: Sequence[str], present: Sequence[bool]) -> Group:
        """Return the group of a prompt's completions, in the order of the rollouts."""
        distinct = sorted({text for text, there in zip(texts, present, strict=True) if there})
        places = {text: place for place, text in enumerate(distinct)}

        def asked(order: Order) -> tuple[tuple[Order, Question], ...]:
            orders = (order, order[::-1]) if options.both_orders else (order,)
            return tuple((o, Question.ask(options, prompt_id, prompt, [distinct[i] for i in o])) for o in orders)

        return cls(
            tuple(places[text] if there else None for text, there in zip(texts, present, strict=True)),
            tuple(asked(order) for order in _orders(options, prompt, distinct)),
        )

    @property
    def questions(self) -> Iterator[Question]:
        """All questions of the group."""
        return (question for comparison in self.comparisons for _, question in comparison)

    def scores(self, verdicts: Mapping[str, Verdict]) -> list[float | None]:
        """Return the mean win share of each of the ``K`` completions; None where it was never validly compared."""
        there = [place for place in self.places if place is not None]
        if len(there) > 1 and len(set(there)) == 1:
            return [None if place is None else 0.5 for place in self.places]  # copies tie, nobody needs to be asked
        answers = [[_ranks(order, verdicts.get(q.key)) for order, q in comparison] for comparison in self.comparisons]
        shares = tournament.shares(len(set(there)), answers)
        return [None if place is None else shares[place] for place in self.places]


def _orders(options: Judge, prompt: str, texts: Sequence[str]) -> list[Order]:
    if len(texts) < 2:
        return []
    if options.mode == "pairwise":
        return tournament.pairings(prompt, texts, options.rounds)
    return tournament.windows(prompt, texts, options.window, options.rounds)


def _ranks(order: Order, verdict: Verdict | None) -> Ranks | None:
    """Return the rank of each text that the verdict names: it names them by their place in the order shown."""
    if verdict is None:
        return None
    return {order[place]: rank for rank, tier in enumerate(verdict) for place in tier}
