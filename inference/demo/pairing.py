"""Questions that need two photos: `about_two(rng, pair, chinese, together)`."""

from __future__ import annotations

import random
from collections.abc import Sequence

from inference.demo import questions
from inference.demo.asking import Turn, description, named, reword, verdict
from inference.demo.colours import spoken
from inference.demo.pictures import Picture

NTHS = (("first", "第一张"), ("second", "第二张"))


def nth(at: int, chinese: bool) -> str:
    """The first photo."""
    return f"{NTHS[at][1]}。" if chinese else f"The {NTHS[at][0]} photo."


def which(rng: random.Random, pair: Sequence[Picture], chinese: bool) -> tuple[Turn, int] | None:
    """Which of two photos shows a shape that only one has; and which it is."""
    at = rng.randrange(2)
    shapes = {thing.shape for thing in pair[at].things} - {thing.shape for thing in pair[1 - at].things}
    if not shapes:
        return None
    question = reword(rng, questions.WHICH, chinese, shape=named(rng.choice(sorted(shapes)), chinese))
    return Turn("which", question, nth(at, chinese), chinese), at


def about_two(rng: random.Random, pair: Sequence[Picture], chinese: bool, together: bool) -> Turn:
    """A question that needs both photos; only for those sent `together` may it leave open which it means."""
    kind = rng.random()
    if kind < 0.5 and (found := which(rng, pair, chinese)):
        return found[0]
    at = rng.randrange(2)
    first, second = pair
    if kind < 0.75 and first.kind == second.kind == "plain":
        return _two_plain(rng, (first.colour, second.colour), chinese, together)
    if kind < 0.75 and first.things and second.things and len(first.things) != len(second.things):
        at = int(len(second.things) > len(first.things))
        return Turn("which", reword(rng, questions.MORE, chinese), nth(at, chinese), chinese)
    question = reword(rng, questions.NTH, chinese, nth=NTHS[at][chinese])
    return Turn("nth", question, description(pair[at], chinese), chinese)


def _two_plain(rng: random.Random, pair: tuple[str, str], chinese: bool, together: bool) -> Turn:
    first, second = pair
    kind = rng.randrange(4)
    if kind == 0:
        names = spoken(first, chinese), spoken(second, chinese)
        if first == second:
            answer = f"一样，都是{names[0]}。" if chinese else f"Yes, both are {names[0]}."
        elif chinese:
            answer = f"不一样，第一张是{names[0]}，第二张是{names[1]}。"
        else:
            answer = f"No, the first is {names[0]} and the second is {names[1]}."
        return Turn("same", reword(rng, questions.SAME, chinese), answer, chinese)
    if kind == 1 and first != second:
        at = rng.randrange(2)
        question = reword(rng, questions.WHICH_COLOUR, chinese, colour=spoken(pair[at], chinese))
        return Turn("which", question, nth(at, chinese), chinese)
    wordings = rng.choice((questions.SEVERAL, questions.PLAIN, questions.DESCRIBE)) if together else questions.SEVERAL
    question = reword(rng, wordings, chinese)
    return Turn("colours", question, verdict(pair, chinese, again=False), chinese)
