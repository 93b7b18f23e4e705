"""How large a service grows: first words, GPUs, Valkey and cost for so many users.

`make docs` writes its tables into docs/scale.md.

An engine is a law of five figures. A question is prepared beside the others (`lag`), then read: all that
wait are read together, and meanwhile no answer is written. Then all answers are written together, the slower the more
there are. MEASURED are runs on a card, which tests/test_scale.py holds the law to; bench/lawful.py has the real queue
and worker before engines that keep it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """Seconds: to read a photo, or words only; of preparing beside others; a token alone, and more of it for each other
    answer that is being written.
    """

    photo: float
    words: float
    lag: float
    token: float
    beside: float
    slots: int = 48

    def pace(self, running: int) -> float:
        """Seconds a token when so many answers are written."""
        return self.token + self.beside * (running - 1)


# One H200 with 24 GB left of it, the 2B: bench/RESULTS.md, "SGLang on the card" (a) and (c). `words` is assumed: its
# first token alone takes a quarter of a photo's.
CARD = Law(photo=0.044, words=0.011, lag=0.053, token=1 / 425, beside=0.00008)


@dataclass(frozen=True)
class Load:
    """What people do: questions a second (0: everybody asks again at once, `people` of them), and what they ask."""

    rate: float = 0.0
    people: int = 0
    photos: float = 1.0  # share of the questions that bring a photo
    tokens: int = 128
    jitter: float = 0.0  # seconds, the mean of what lies between an answer and the next question, beside the law
    kept: float = 1.0  # share of the follow-ups that find their engine's cache; the others read their photo again


@dataclass(frozen=True)
class Outcome:
    """First words in seconds, and answers a second."""

    mean: float
    p50: float
    p95: float
    p99: float
    answers: float


class _Engine:
    """One engine's state between two moments; `written` counts the tokens that every answer has got since the start."""

    def __init__(self, law: Law) -> None:
        self._law = law
        self._at = 0.0
        self._written = 0.0
        self._writing: list[tuple[float, int]] = []  # what `written` is at its end, person
        self._queue: list[tuple[float, int]] = []  # what is read next: seconds it takes, person
        self._reading: list[int] = []  # who is being read for, all together
        self._began = self._read_until = -math.inf
        self.taken = 0

    def read(self, now: float, seconds: float, person: int) -> None:
        """A question is prepared."""
        self._advance(now)
        self._queue.append((seconds, person))
        if not self._reading or self._began == now:
            self._begin(now)

    def due(self) -> float:
        """When something ends next."""
        if self._reading:
            return self._read_until
        if not self._writing:
            return math.inf
        return self._at + max(0.0, self._writing[0][0] - self._written) * self._law.pace(len(self._writing))

    def step(self, now: float, tokens: int) -> tuple[list[int], int | None]:
        """Whose first words came now, and whose last, as `due` said."""
        if not self._reading:
            self._written, self._at = self._writing[0][0], now
            self.taken -= 1
            return [], heapq.heappop(self._writing)[1]
        self._at = now
        done, self._reading = self._reading, []
        for person in done:
            heapq.heappush(self._writing, (self._written + tokens, person))
        if self._queue:
            self._begin(now)
        return done, None

    def _begin(self, now: float) -> None:
        if not self._reading:
            self._began = self._read_until = now
        self._read_until += sum(seconds for seconds, _ in self._queue)
        self._reading += [person for _, person in self._queue]
        self._queue.clear()

    def _advance(self, now: float) -> None:
        if not self._reading and self._writing:
            self._written += (now - self._at) / self._law.pace(len(self._writing))
        self._at = now


def simulate(law: Law, engines: int, load: Load, questions: int = 20_000, seed: int = 1) -> Outcome:
    """Play that many questions, event by event; the first tenth only warms up."""
    chance, people = random.Random(seed), itertools.count(load.people)
    fleet = [_Engine(law) for _ in range(engines)]
    waiting: deque[int] = deque()
    asked: dict[int, float] = {}
    prepared: list[tuple[float, int, int]] = []  # when, person, engine
    firsts: list[float] = []
    ends: list[float] = []
    fresh = chance.expovariate(load.rate) if load.rate else math.inf
    for person in range(load.people):
        asked[person] = 0.0
        waiting.append(person)
    now = 0.0
    while len(ends) < questions:
        while waiting and min(engine.taken for engine in fleet) < law.slots:
            person = waiting.popleft()
            home = person % engines
            place = home if fleet[home].taken < law.slots else min(range(engines), key=lambda each: fleet[each].taken)
            fleet[place].taken += 1
            late = chance.expovariate(1 / load.jitter) if load.jitter else 0.0
            heapq.heappush(prepared, (now + law.lag + late, person, place))
        place = min(range(engines), key=lambda each: fleet[each].due())
        now = min(fresh, prepared[0][0] if prepared else math.inf, fleet[place].due())
        if now == fresh:
            asked[person := next(people)] = now
            waiting.append(person)
            fresh = now + chance.expovariate(load.rate)
        elif prepared and now == prepared[0][0]:
            _, person, where = heapq.heappop(prepared)
            reads = chance.random() < load.photos or chance.random() > load.kept
            fleet[where].read(now, law.photo if reads else law.words, person)
        else:
            first, last = fleet[place].step(now, load.tokens)
            firsts += [now - asked.pop(person) for person in first]
            if last is not None:
                ends.append(now)
                if not load.rate:
                    asked[last] = now
                    waiting.append(last)
    warm = len(ends) // 10
    cuts = statistics.quantiles(firsts[warm:], n=100)
    return Outcome(
        statistics.fmean(firsts[warm:]), cuts[49], cuts[94], cuts[98], (len(ends) - 1 - warm) / (ends[-1] - ends[warm])
    )


def engines_for(law: Law, load: Load, p95: float) -> tuple[int, Outcome]:
    """The fewest engines with which 95 of 100 first words come in time."""
    work = load.photos * law.photo + (1 - load.photos) * law.words
    for engines in itertools.count(max(1, int(load.rate * work))):
        outcome = simulate(law, engines, load, questions=max(4_000, int(60 * load.rate) // 10))
        if outcome.p95 <= p95:
            return engines, outcome
    raise AssertionError  # never: it counts on


# People at once, answers a second, p50 of the first words; photos of 1024x768, 128 tokens; RESULTS, (c), engine's side.
MEASURED = ((1, 2.435, 0.100), (8, 9.985, 0.433), (32, 16.355, 1.334), (64, 15.75, 2.198))


def check() -> list[dict[str, float]]:
    """The law against what the card did."""
    rows: list[dict[str, float]] = []
    for people, answers, first in MEASURED:
        found = simulate(CARD, 1, Load(people=people), questions=4_000)
        rows.append({
            "people": people, "answers": answers, "computed": round(found.answers, 2),
            "off_percent": round(100 * (found.answers / answers - 1), 1), "first": first,
            "first_computed": round(found.p50, 3), "first_off_percent": round(100 * (found.p50 / first - 1), 1),
        })  # fmt: skip
    return rows


# What people do, as long as nobody has measured it for a service of their own.
USERS = (100, 1_000, 10_000, 100_000, 1_000_000)
QUESTIONS = 5  # of a daily user
PHOTOS = 0.3  # of the questions bring one
BUSIEST = 0.1  # of a day's questions are in its busiest hour
FIRST_WORDS = 2.0  # seconds, for 95 of 100
GPU_HOUR = 0.40  # of whatever money; a rented 24 GB card
VALKEY = 0.00081  # seconds of the server for a question: 119 commands (RESULTS, "Scale")
PHOTO = 250_000  # bytes of one that is kept


@dataclass(frozen=True)
class Size:
    """What so many daily users need; photos_only are the engines if every question
    brings a photo, cost is a day's, valkey the share of one core, photo_gb of a week.
    """

    users: int
    rate: float
    engines: int
    outcome: Outcome
    cost: float
    valkey: float
    photo_gb: float
    photos_only: int


def sizes() -> list[Size]:
    """One row for each number of users."""
    rows: list[Size] = []
    for users in USERS:
        rate = users * QUESTIONS * BUSIEST / 3600
        engines, outcome = engines_for(CARD, Load(rate=rate, photos=PHOTOS, kept=0.97), FIRST_WORDS)
        photos_only, _ = engines_for(CARD, Load(rate=rate), FIRST_WORDS)
        stored = users * QUESTIONS * PHOTOS * PHOTO * 7 / 1e9
        rows.append(Size(users, rate, engines, outcome, engines * 24 * GPU_HOUR, rate * VALKEY, stored, photos_only))
    return rows
