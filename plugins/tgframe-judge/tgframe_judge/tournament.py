"""Which completions of a group are compared in which order, and what the answers say together.

Nothing here depends on the order of the completions in the group: texts come sorted, and every choice is drawn from
their digests.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tgframe_judge.hashing import digest

Order = tuple[int, ...]
"""Places in the list of texts, in the order in which the judge sees them."""
Ranks = Mapping[int, int]
"""Place in the list of texts to rank, 0 for the best; equal ranks tie, texts that the judge left out are not there."""


def pairings(prompt: str, texts: Sequence[str], rounds: int | None) -> list[Order]:
    """Return the pairs to compare: all of them, or those of ``rounds`` matchings, none twice."""
    field = seeded(texts, prompt, "matchings")
    matchings = itertools.islice(_matchings(field), rounds)
    found = list(itertools.chain.from_iterable(matchings))
    met = set(itertools.chain.from_iterable(found))
    # Who sits out the only round of an odd field meets somebody all the same: a judgment costs less than a sample.
    found += [(place, min(met)) for place in field if place not in met]
    return [_shown(prompt, texts, pair) for pair in found]


def windows(prompt: str, texts: Sequence[str], window: int | None, rounds: int | None) -> list[Order]:
    """Return the lists to rank: in each round every text once, in windows of sizes that differ by one at most.

    A text's opponents are a uniform draw from the others, so its mean win share over some rounds estimates, without
    bias, its share against all.
    """
    size = min(window or len(texts), len(texts))
    count = math.ceil(len(texts) / size)
    times = rounds or math.ceil((len(texts) - 1) / (size - 1))
    fields = (seeded(texts, prompt, f"windows {index}") for index in range(times))
    return [tuple(field[start::count]) for field in fields for start in range(count)]


def seeded(texts: Sequence[str], *salt: str) -> list[int]:
    """Return the places of distinct ``texts`` in an order drawn from the digest of them all and of ``salt``."""
    digests = [digest(text) for text in texts]
    joint = digest(*salt, *sorted(digests))
    return sorted(range(len(texts)), key=lambda place: digest(joint, digests[place]))


def shares(count: int, comparisons: Iterable[Sequence[Ranks | None]]) -> list[float | None]:
    """Return the mean win share of ``count`` texts over the answered comparisons: 1 a win, 0.5 a tie, 0 a defeat.

    A comparison is one answer, or one in either order. It counts where all its answers are there, and for texts that
    all of them rank: half of it would let in the bias that the other half takes out. None where a text met nobody.
    """
    points, games = [0.0] * count, [0] * count
    for answers in comparisons:
        for winner, loser, point in _games(answers):
            points[winner] += point
            points[loser] += 1.0 - point
            games[winner] += 1
            games[loser] += 1
    return [points[place] / games[place] if games[place] else None for place in range(count)]


def _games(answers: Sequence[Ranks | None]) -> Iterator[tuple[int, int, float]]:
    """Yield what each two texts got against each other: first, second, share of the first."""
    ranks = [answer for answer in answers if answer is not None]
    if len(ranks) < len(answers):
        return
    common = [place for place in ranks[0] if all(place in answer for answer in ranks)]
    for one, other in itertools.combinations(common, 2):
        yield one, other, sum(_point(answer[one], answer[other]) for answer in ranks) / len(ranks)


def _point(rank: int, other: int) -> float:
    return 0.5 if rank == other else float(rank < other)


def _matchings(field: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """Yield the rounds of a round robin by the circle method; in an odd field one sits out, each once."""
    circle: list[int | None] = [*field, *[None] * (len(field) % 2)]
    half = len(circle) // 2
    for _ in range(len(circle) - 1):
        pairs = zip(circle[:half], reversed(circle[half:]), strict=True)
        yield [(one, other) for one, other in pairs if one is not None and other is not None]
        circle.insert(1, circle.pop())


def _shown(prompt: str, texts: Sequence[str], pair: tuple[int, int]) -> Order:
    first, second = sorted(pair)
    order = seeded([texts[first], texts[second]], prompt, "pair")
    return (first, second) if order[0] == 0 else (second, first)
