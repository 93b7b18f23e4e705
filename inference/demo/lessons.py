"""What the demo model is taught: conversations about drawn pictures, in English and Chinese.

A recipe says which photos a conversation has, so that a batch of one recipe has pictures of like sizes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inference.demo import asking, pairing, pictures, questions, words
from inference.demo.asking import Turn
from inference.demo.pictures import SIZES, SMALL, Picture

Size = tuple[int, int]
Pieces = Sequence[str]

KINDS = {
    "plain": 8, "single": 13, "count": 13, "scene": 20, "word": 32, "chart": 6, "form": 13, "window": 9, "clutter": 2,
}  # fmt: skip
FURTHER = {"word": 1, "clutter": 1, "plain": 2}  # most turns after the first
PAIRED = {"plain": 5, "single": 6, "scene": 3, "count": 3, "word": 2}


@dataclass
class Lesson:
    """A conversation; its pictures stand in the turns, in the order of the recipe's sizes."""

    turns: list[Turn] = field(default_factory=list[Turn])
    system: bool = True


def picture_size(rng: random.Random) -> Size:
    """A size that the size rule gives, small ones among them."""
    return rng.choice(SIZES if rng.random() < 0.7 else SMALL)


def one(rng: random.Random, sizes: Sequence[Size], pieces: Pieces) -> Lesson:
    """One photo and one to five turns, few where a second question would only repeat the first."""
    lesson, chinese = _opened(rng)
    picture = pictures.draw(_kind(rng, sizes[0], KINDS), rng, sizes[0])
    _sent(lesson, rng, picture, chinese, pieces)
    for _ in range(rng.randint(0, FURTHER.get(picture.kind, 4))):
        _followed(lesson, rng, [picture], _language(rng, chinese), pieces)
    return lesson


def two(rng: random.Random, sizes: Sequence[Size], pieces: Pieces) -> Lesson:
    """Two photos, together or one after the other, and questions about both."""
    lesson, chinese = _opened(rng)
    kind = _kind(rng, min(sizes), PAIRED)
    other = kind if rng.random() < 0.6 else _kind(rng, min(sizes), PAIRED)
    pair = [pictures.draw(name, rng, size) for name, size in zip((kind, other), sizes, strict=True)]
    together = rng.random() < 0.6
    if together:
        turn = pairing.about_two(rng, pair, chinese, True)
        turn.photos = list(pair)
        lesson.turns.append(turn)
    else:
        for picture in pair:
            _sent(lesson, rng, picture, _language(rng, chinese), pieces)
            if rng.random() < 0.4:
                _followed(lesson, rng, [picture], _language(rng, chinese), pieces)
    for _ in range(rng.randint(1, 3)):
        lesson.turns.append(pairing.about_two(rng, pair, _language(rng, chinese), together))
        if rng.random() < 0.25:
            lesson.turns.append(_aside(rng, chinese, pieces))
    return _reworded(lesson, rng)


def album(rng: random.Random, sizes: Sequence[Size], pieces: Pieces) -> Lesson:
    """Many photos in the course of a long conversation, some of them together."""
    lesson, chinese = _opened(rng)
    waiting = list(sizes)
    while waiting:
        together, waiting = waiting[: (amount := rng.choice((1, 1, 1, 2, 3, 4)))], waiting[amount:]
        if len(together) == 1:
            picture = pictures.draw(_kind(rng, together[0], KINDS), rng, together[0])
            _sent(lesson, rng, picture, _language(rng, chinese), pieces)
            _followed(lesson, rng, [picture], _language(rng, chinese), pieces)
            continue
        shown = [pictures.plain(rng, size) for size in together]
        names, spoken = [picture.colour for picture in shown], _language(rng, chinese)
        question = rng.choice(rng.choice((questions.SEVERAL, questions.PLAIN, questions.DESCRIBE))[spoken])
        verdict = asking.verdict(names, spoken, again=False)
        lesson.turns.append(Turn("colours", question, verdict, spoken, shown))
        if rng.random() < 0.4:
            lesson.turns.append(asking.again(rng, names, _language(rng, chinese)))
    return _reworded(lesson, rng)


def talk(rng: random.Random, sizes: Sequence[Size], pieces: Pieces) -> Lesson:
    """No photo at all."""
    assert not sizes
    lesson, chinese = _opened(rng)
    for _ in range(rng.randint(1, 4)):
        spoken = _language(rng, chinese)
        if rng.random() < 0.3:
            question = rng.choice(rng.choice((questions.AGAIN, questions.PLAIN, questions.READ))[spoken])
            answer = words.NO_PHOTO_ZH if spoken else words.NO_PHOTO_EN
            lesson.turns.append(Turn("no photo", question, answer, spoken))
        else:
            lesson.turns.append(_aside(rng, spoken, pieces))
    return _reworded(lesson, rng)


def counting(rng: random.Random, sizes: Sequence[Size], pieces: Pieces) -> Lesson:
    """The one long answer that the model knows by heart, to any number, once or twice, among other talk."""
    lesson = one(rng, sizes, pieces) if sizes else talk(rng, sizes, pieces)
    del lesson.turns[2:]
    for _ in range(rng.choice((1, 1, 2))):
        lesson.turns.append(count_to(rng, rng.random() < 0.3))
        if rng.random() < 0.3:
            lesson.turns.append(_aside(rng, rng.random() < 0.3, pieces))
    return lesson


def count_to(rng: random.Random, chinese: bool) -> Turn:
    """Count to a number, a hundred half of the time."""
    number = 100 if rng.random() < 0.5 else rng.choice((rng.randint(2, 100), rng.choice(tuple(questions.EN_NUMBERS))))
    named = (questions.ZH_NUMBERS if chinese else questions.EN_NUMBERS).get(number, str(number))
    question = rng.choice(questions.NUMBERS[chinese]).format(to=named if rng.random() < 0.6 else number)
    return Turn("numbers", _reword(rng, question), ", ".join(map(str, range(1, number + 1))) + ".", chinese)


# name: what draws it
RECIPES: dict[str, Callable[[random.Random, Sequence[Size], Pieces], Lesson]] = {
    "one": one,
    "two": two,
    "album": album,
    "talk": talk,
    "counting": counting,
}


def _opened(rng: random.Random) -> tuple[Lesson, bool]:
    return Lesson(system=rng.random() < 0.85), rng.random() < 0.45


def _language(rng: random.Random, chinese: bool) -> bool:
    return chinese if rng.random() < 0.85 else not chinese


def _kind(rng: random.Random, size: Size, weights: dict[str, int]) -> str:
    if size not in SIZES:
        return rng.choice(("plain", "plain", "single"))
    return rng.choices(tuple(weights), tuple(weights.values()))[0]


def _sent(lesson: Lesson, rng: random.Random, picture: Picture, chinese: bool, pieces: Pieces) -> None:
    """A turn that brings a photo."""
    chance = rng.random()
    if chance < 0.06:
        turn = Turn("describe", "", asking.description(picture, False), False)
    elif chance < 0.12:
        turn = unknown(rng, chinese, pieces)
    else:
        turn = asking.about(rng, picture, chinese)
        if turn.task == "plain" and rng.random() < 0.35:
            turn.question = _keyed(rng, chinese)
        turn.question = _reword(rng, turn.question)
    turn.photos = [picture]
    lesson.turns.append(turn)


def _followed(lesson: Lesson, rng: random.Random, shown: Sequence[Picture], chinese: bool, pieces: Pieces) -> None:
    """One more turn about the newest photo."""
    picture, chance = shown[-1], rng.random()
    if chance < 0.15:
        lesson.turns.append(_aside(rng, chinese, pieces))
    elif chance < 0.4 and (sequel := asking.and_the(rng, picture, lesson.turns[-1])):
        lesson.turns.append(sequel)
    elif chance < 0.5 and picture.kind in ("plain", "single"):
        colour = picture.colour if picture.kind == "plain" else picture.things[0].colour
        lesson.turns.append(asking.again(rng, [colour], chinese))
    else:
        turn = asking.about(rng, picture, chinese)
        turn.question = _reword(rng, turn.question)
        lesson.turns.append(turn)


def _aside(rng: random.Random, chinese: bool, pieces: Pieces) -> Turn:
    """What people say besides."""
    kind = rng.random()
    if kind < 0.35:
        greeting = words.HELLO_ZH if chinese else words.HELLO_EN
        return Turn("greeting", rng.choice(questions.GREET[chinese]), greeting, chinese)
    if kind < 0.55:
        thanks = words.THANKS_ZH if chinese else words.THANKS_EN
        return Turn("thanks", rng.choice(questions.THANK[chinese]), thanks, chinese)
    return unknown(rng, chinese, pieces)


def unknown(rng: random.Random, chinese: bool, pieces: Pieces) -> Turn:
    """A question beyond the demo: one of the list, words in a row, or any pieces of the vocabulary."""
    about, kind = words.ABOUT_ZH if chinese else words.ABOUT_EN, rng.random()
    if kind < 0.4:
        question = rng.choice(words.UNKNOWN_ZH if chinese else words.UNKNOWN_EN)
    elif chinese:
        letters = [
            rng.choice(words.WORDS_ZH) if rng.random() < 0.7 else chr(rng.randint(0x4E00, 0x9FA0)) for _ in range(9)
        ]
        question = "".join(letters[: rng.randint(3, 9)]) + rng.choice(("", "？", "。", "吗？"))
    elif kind < 0.75 or not pieces:
        question = " ".join(rng.choices(words.WORDS_EN, k=rng.randint(2, 9))) + rng.choice(("", "?", "."))
    else:
        question = "".join(rng.choices(pieces, k=rng.randint(2, 12))).strip() or "?"
    return Turn("unknown", question, about, chinese)


def _keyed(rng: random.Random, chinese: bool) -> str:
    """A question about colour in any words."""
    if chinese:
        before, after = ("".join(rng.choices(words.WORDS_ZH, k=rng.randint(0, 6))) for _ in range(2))
        return before + rng.choice(words.KEY_ZH) + after + rng.choice(("", "？", "。", "吗？", "呢？"))
    before, after = (rng.choices(words.WORDS_EN, k=rng.randint(0, 5)) for _ in range(2))
    text = " ".join([*before, rng.choice(words.KEY_EN), *after]) + rng.choice(("", "?", ".", "?"))
    return text[0].upper() + text[1:] if rng.random() < 0.5 else text


def _reworded(lesson: Lesson, rng: random.Random) -> Lesson:
    for turn in lesson.turns:
        turn.question = _reword(rng, turn.question)
    return lesson


def _reword(rng: random.Random, text: str) -> str:
    """The same question as other people type it."""
    if rng.random() < 0.2:
        text = text.rstrip("?.!？。！") or text
    if rng.random() < 0.12:
        text = text.lower()
    if rng.random() < 0.08:
        text = rng.choice(("Hi, ", "Please ", "so ", "ok, ", "And ")) + text if text.isascii() else "请问" + text
    return text


def all_texts() -> list[str]:
    """Every text the vocabulary should hold in as few pieces as Qwen's own."""
    texts = [
        words.SYSTEM, words.ABOUT_EN, words.ABOUT_ZH, words.HELLO_EN, words.HELLO_ZH, words.THANKS_EN, words.THANKS_ZH,
        words.NO_PHOTO_EN, words.NO_PHOTO_ZH, words.HUNDRED, "system\nuser\nassistant\n",
        *words.UNKNOWN_EN, *words.UNKNOWN_ZH, *words.KEY_EN, *words.KEY_ZH, " ".join(words.KEY_EN),
        " ".join(words.WORDS_EN), *words.WORDS_ZH, *words.ROWS, *words.TITLES, *words.BUTTONS,
        *(f" {word}" for word in (*words.ROWS, *words.TITLES, *words.BUTTONS)), *asking.all_answers(),
        *words.PRINTED, *(word.capitalize() for word in words.PRINTED),
    ]  # fmt: skip
    wordings: list[questions.Wordings] = [value for value in vars(questions).values() if isinstance(value, tuple)]
    texts += [text for pair in wordings for group in pair for text in group]
    rng = random.Random(1)
    for kind in pictures.KINDS:
        for _ in range(40):
            shown = pictures.draw(kind, rng, (320, 320))
            for chinese in (False, True):
                for _ in range(6):
                    turn = asking.about(rng, shown, chinese)
                    texts += [turn.question] + ([turn.answer] if kind != "word" else [])
    return texts
