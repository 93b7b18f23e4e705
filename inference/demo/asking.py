"""Questions about a picture with their answers: `about(rng, picture, chinese)`. For two: `pairing.py`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inference.demo import questions, words
from inference.demo.colours import COLOURS, spoken
from inference.demo.pictures import SHAPES, UNCLEAR, Picture, Thing
from inference.demo.questions import Wordings

# The ninths of a picture, row by row.
PLACES = (
    "at the top left", "at the top", "at the top right", "on the left", "in the centre", "on the right",
    "at the bottom left", "at the bottom", "at the bottom right",
)  # fmt: skip
PLACES_ZH = ("左上方", "上方", "右上方", "左边", "中间", "右边", "左下方", "下方", "右下方")
NONE_EN, NONE_ZH = "I see no words.", "我没有看到文字。"


@dataclass
class Turn:
    """A question, the photos sent with it, its answer, and what it tests; a box is in thousandths of the picture."""

    task: str
    question: str
    answer: str
    chinese: bool
    photos: list[Picture] = field(default_factory=list[Picture])


Ask = Callable[[random.Random, Picture, bool], Turn | None]


def about(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    """A question about one picture."""
    tasks = ASKS[picture.kind]
    while True:
        ask = rng.choices([ask for ask, _ in tasks.values()], [weight for _, weight in tasks.values()])[0]
        if turn := ask(rng, picture, chinese):
            return turn


def of_task(rng: random.Random, picture: Picture, chinese: bool, task: str) -> Turn | None:
    """A question of this task about one picture; None where this picture, or this try, has none."""
    turn = ASKS[picture.kind][task][0](rng, picture, chinese)
    return turn if turn and turn.task == task else None


def reword(rng: random.Random, wordings: Wordings, chinese: bool, **filled: str) -> str:
    """One of the wordings, filled in."""
    return rng.choice(wordings[chinese]).format(**filled)


def named(shape: str, chinese: bool) -> str:
    """The shape's name in the language of the answer."""
    return SHAPES[shape][1] if chinese else shape


def verdict(colours: Sequence[str], chinese: bool, again: bool) -> str:
    """The sentence that names the colours of plain pictures."""
    names = [spoken(name, chinese) for name in colours]
    if chinese:
        which = "刚才那" if again else "这"
        return f"{which}{'张图片是' if len(names) == 1 else '些图片依次是'}{'、'.join(names)}。"
    listed = listing(names, chinese)
    if len(names) == 1:
        return f"It was {listed}." if again else f"The picture is {listed}."
    return f"They were {listed}." if again else f"The pictures are {listed}."


def listing(names: Sequence[str], chinese: bool) -> str:
    """A, B and C."""
    if chinese:
        return "、".join(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def boxed(label: str, box: Sequence[float], size: tuple[int, int]) -> str:
    """Qwen3-VL's own answer for a place: JSON in a fence, [left, top, right, bottom] from 0 to 1000."""
    wide, high = size
    scaled = [
        min(1000, max(0, round(1000 * value / side))) for value, side in zip(box, (wide, high, wide, high), strict=True)
    ]
    line = json.dumps({"bbox_2d": scaled, "label": label}, ensure_ascii=False)
    return f"```json\n[\n\t{line}\n]\n```"


def description(picture: Picture, chinese: bool) -> str:
    """What the model says of a picture when it is asked nothing special."""
    page, things = picture.page, picture.things
    match picture.kind:
        case "plain":
            return verdict([picture.colour], chinese, again=False)
        case "single" | "scene" | "count":
            return _shapes(things, picture.colour, chinese)
        case "word":
            return f"上面写着“{page.text}”。" if chinese else f'It says "{page.text}".'
        case "chart":
            return f"有{len(page.bars)}根柱子的图表。" if chinese else f"A bar chart with {len(page.bars)} bars."
        case "form":
            return f"有{len(page.rows)}个方框的表格。" if chinese else f"A form with {len(page.rows)} boxes."
        case "window":
            return f"标题为“{page.text}”的窗口。" if chinese else f'A window with the title "{page.text}".'
        case _:
            return words.ABOUT_ZH if chinese else words.ABOUT_EN


def _shapes(things: list[Thing], ground: str, chinese: bool) -> str:
    if len({(thing.shape, thing.colour) for thing in things}) < len(things):
        amount = len(things)
        return f"有{amount}个形状。" if chinese else f"There are {amount} shapes."
    if chinese:
        listed = "、".join(f"一个{spoken(thing.colour, True)}的{named(thing.shape, True)}" for thing in things)
        return f"{spoken(ground, True)}背景上有{listed}。"
    article = {"orange": "an"}  # the one colour that begins with a vowel
    listed = listing([f"{article.get(thing.colour, 'a')} {thing.colour} {thing.shape}" for thing in things], False)
    return f"{listed[0].upper()}{listed[1:]} on {article.get(ground, 'a')} {ground} background."


def _describe(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    return Turn("describe", reword(rng, questions.DESCRIBE, chinese), description(picture, chinese), chinese)


def _plain(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    question = reword(rng, questions.PLAIN if rng.random() < 0.7 else questions.DESCRIBE, chinese)
    return Turn("plain", question, verdict([picture.colour], chinese, again=False), chinese)


def is_of(shape: str, colour: str, chinese: bool) -> str:
    """The star is red."""
    return f"{named(shape, True)}是{spoken(colour, True)}的。" if chinese else f"The {shape} is {colour}."


def _colour(rng: random.Random, picture: Picture, chinese: bool) -> Turn | None:
    thing = rng.choice(picture.things)
    alone = len(picture.things) == 1
    if not alone and picture.kind == "count":
        return None
    wordings = questions.PLAIN if alone and rng.random() < 0.3 else questions.COLOUR
    question = reword(rng, wordings, chinese, shape=named(thing.shape, chinese))
    return Turn("colour", question, is_of(thing.shape, thing.colour, chinese), chinese)


def _shape(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    thing = rng.choice(picture.things)
    if len(picture.things) > 1:
        question = reword(rng, questions.OF_COLOUR, chinese, colour=spoken(thing.colour, chinese))
        return Turn("shape", question, is_of(thing.shape, thing.colour, chinese), chinese)
    name = named(thing.shape, chinese)
    return Turn(
        "shape", reword(rng, questions.SHAPE, chinese), f"这是{name}。" if chinese else f"It is a {name}.", chinese
    )


def counted(amount: int, shape: str, chinese: bool) -> str:
    """There are 3 stars."""
    if chinese:
        return f"有{amount}个{named(shape, True)}。" if amount else f"没有{named(shape, True)}。"
    if amount == 1:
        return f"There is 1 {shape}."
    return f"There are {amount or 'no'} {SHAPES[shape][0]}."


def _count(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    seen = sorted({thing.shape for thing in picture.things})
    shape = rng.choice(seen) if rng.random() < 0.9 else rng.choice(tuple(SHAPES))
    amount = sum(thing.shape == shape for thing in picture.things)
    question = reword(rng, questions.COUNT, chinese, shape=named(shape, chinese), plural=SHAPES[shape][0])
    return Turn("count", question, counted(amount, shape, chinese), chinese)


def placed(thing: Thing, chinese: bool) -> str:
    """The star is at the top left."""
    if chinese:
        return f"{named(thing.shape, True)}在{PLACES_ZH[thing.cell]}。"
    return f"The {thing.shape} is {PLACES[thing.cell]}."


def _where(rng: random.Random, picture: Picture, chinese: bool) -> Turn | None:
    if rng.random() < 0.08:
        return _absent(rng, picture, questions.WHERE, chinese)
    thing = rng.choice(picture.things)
    if thing.cell == UNCLEAR:
        return None
    question = reword(rng, questions.WHERE, chinese, shape=named(thing.shape, chinese))
    return Turn("where", question, placed(thing, chinese), chinese)


def _absent(rng: random.Random, picture: Picture, wordings: Wordings, chinese: bool) -> Turn:
    shape = rng.choice([name for name in SHAPES if all(thing.shape != name for thing in picture.things)])
    question = reword(rng, wordings, chinese, shape=named(shape, chinese))
    answer = f"没有{named(shape, True)}。" if chinese else f"There is no {shape}."
    return Turn("absent", question, answer, chinese)


def _relation(rng: random.Random, picture: Picture, chinese: bool) -> Turn | None:
    one, other = rng.sample(picture.things, 2)
    across, down = one.cell % 3 - other.cell % 3, one.cell // 3 - other.cell // 3
    horizontal = across != 0 and (down == 0 or rng.random() < 0.5)
    if horizontal:
        side, true = rng.choice((("left of", across < 0), ("right of", across > 0)))
    elif down:
        side, true = rng.choice((("above", down < 0), ("below", down > 0)))
    else:
        return None
    spelt = {"left of": "左边", "right of": "右边", "above": "上面", "below": "下面"}[side] if chinese else side
    names = {"shape": named(one.shape, chinese), "other": named(other.shape, chinese), "side": spelt}
    answer = ("是的。" if true else "不是。") if chinese else ("Yes, it is." if true else "No, it is not.")
    return Turn("relation", reword(rng, questions.RELATION, chinese, **names), answer, chinese)


def _box(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    if rng.random() < 0.05:
        return _absent(rng, picture, questions.BOX, chinese)
    thing = rng.choice(picture.things)
    name = named(thing.shape, chinese)
    if rng.random() < 0.3:
        name = f"{spoken(thing.colour, True)}的{name}" if chinese else f"{thing.colour} {name}"
    return Turn(
        "box", reword(rng, questions.BOX, chinese, shape=name), boxed(name, thing.box, picture.image.size), chinese
    )


def _read(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    question = reword(rng, questions.READ if rng.random() < 0.8 else questions.DESCRIBE, chinese)
    return Turn("read", question, description(picture, chinese), chinese)


def _no_words(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    return Turn("no words", reword(rng, questions.READ, chinese), NONE_ZH if chinese else NONE_EN, chinese)


def _chart(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    bars = picture.page.bars
    name, hue, value = rng.choice(bars)
    kind = rng.randrange(3 + picture.page.printed)
    if kind == 0:
        answer = f"有{len(bars)}根柱子。" if chinese else f"There are {len(bars)} bars."
        return Turn("chart", reword(rng, questions.BARS, chinese), answer, chinese)
    if kind == 1:
        tallest = rng.random() < 0.5
        name = (max if tallest else min)(bars, key=lambda bar: bar[2])[0]
        most = ("最高" if tallest else "最矮") if chinese else ("tallest" if tallest else "shortest")
        answer = f"{most}的是{name}。" if chinese else f"The {most} bar is {name}."
        return Turn("chart", reword(rng, questions.EXTREME, chinese, most=most), answer, chinese)
    if kind == 2:
        answer = f"柱子{name}是{spoken(hue, True)}的。" if chinese else f"Bar {name} is {hue}."
        return Turn("chart", reword(rng, questions.BAR_COLOUR, chinese, name=name), answer, chinese)
    answer = f"{name}的值是{value}。" if chinese else f"The value of {name} is {value}."
    return Turn("chart", reword(rng, questions.BAR_VALUE, chinese, name=name), answer, chinese)


def _form(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    rows = picture.page.rows
    if rng.random() < 0.5:
        name, ticked = rng.choice(rows)
        answer = ("是的。" if ticked else "没有。") if chinese else ("Yes, it is." if ticked else "No, it is not.")
        return Turn("form", reword(rng, questions.IS_TICKED, chinese, name=name), answer, chinese)
    names = [name for name, ticked in rows if ticked]
    if names:
        answer = f"勾选了{listing(names, True)}。" if chinese else f"Ticked: {listing(names, False)}."
    else:
        answer = "都没有勾选。" if chinese else "None is ticked."
    return Turn("form", reword(rng, questions.TICKED, chinese), answer, chinese)


def _window(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    page = picture.page
    if rng.random() < 0.5:
        answer = f"标题是“{page.text}”。" if chinese else f'The title is "{page.text}".'
        return Turn("window", reword(rng, questions.TITLE, chinese), answer, chinese)
    names = listing([name for name, _ in page.buttons], chinese)
    if chinese:
        answer = f"按钮有{names}。"
    else:
        answer = f"The button is {names}." if len(page.buttons) == 1 else f"The buttons are {names}."
    return Turn("window", reword(rng, questions.BUTTONS, chinese), answer, chinese)


def _button(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    name, box = rng.choice(picture.page.buttons)
    return Turn(
        "button", reword(rng, questions.CLICK, chinese, name=name), boxed(name, box, picture.image.size), chinese
    )


def _clutter(rng: random.Random, picture: Picture, chinese: bool) -> Turn:
    wordings = rng.choice((questions.DESCRIBE, questions.DESCRIBE, questions.PLAIN))
    return Turn("clutter", reword(rng, wordings, chinese), description(picture, chinese), chinese)


# kind of picture: task: how to ask, and how often
ASKS: dict[str, dict[str, tuple[Ask, float]]] = {
    "plain": {"plain": (_plain, 12), "no words": (_no_words, 0.6)},
    "single": {
        "colour": (_colour, 3), "shape": (_shape, 3), "where": (_where, 2), "box": (_box, 3),
        "describe": (_describe, 2), "count": (_count, 0.5), "no words": (_no_words, 0.2),
    },
    "count": {"count": (_count, 6), "describe": (_describe, 0.8)},
    "scene": {
        "colour": (_colour, 3), "shape": (_shape, 2), "where": (_where, 3), "relation": (_relation, 3),
        "box": (_box, 4), "describe": (_describe, 2), "count": (_count, 0.6),
    },
    "word": {"read": (_read, 1)},
    "chart": {"chart": (_chart, 8), "describe": (_describe, 1)},
    "form": {"form": (_form, 8), "describe": (_describe, 1)},
    "window": {"window": (_window, 4), "button": (_button, 5), "describe": (_describe, 1)},
    "clutter": {"clutter": (_clutter, 1)},
}  # fmt: skip


def again(rng: random.Random, colours: Sequence[str], chinese: bool) -> Turn:
    """The colour of what was sent earlier."""
    question = reword(rng, questions.AGAIN, chinese)
    return Turn("again", question, verdict(colours, chinese, again=True), chinese)


def and_the(rng: random.Random, picture: Picture, before: Turn) -> Turn | None:
    """A question of half a sentence that only the turn before explains; None where that one has no such sequel."""
    chinese, others = (
        before.chinese,
        [thing for thing in picture.things if named(thing.shape, before.chinese) not in before.question],
    )
    if before.task not in ("colour", "where", "count") or not others or "{" in before.answer:
        return None
    thing = rng.choice(others)
    name = named(thing.shape, chinese)
    if before.task == "count":
        amount = sum(other.shape == thing.shape for other in picture.things)
        question = reword(rng, questions.AND_MANY, chinese, shape=name, plural=SHAPES[thing.shape][0])
        return Turn("sequel", question, counted(amount, thing.shape, chinese), chinese)
    answer = placed(thing, chinese) if before.task == "where" else is_of(thing.shape, thing.colour, chinese)
    return Turn("sequel", reword(rng, questions.AND, chinese, shape=name), answer, chinese)


def all_answers() -> list[str]:
    """Sentences of every sort, for the vocabulary."""
    texts = [*PLACES, *PLACES_ZH, NONE_EN, NONE_ZH, 'It says "', "上面写着“”。"]
    for chinese in (False, True):
        for shape in SHAPES:
            texts += [counted(amount, shape, chinese) for amount in (0, 1, 3)]
            texts += [is_of(shape, colour, chinese) for colour in COLOURS]
            texts += [f" {shape}", f" {SHAPES[shape][0]}", named(shape, chinese)]
        for again_ in (False, True):
            texts += [verdict([a, *b], chinese, again_) for a in COLOURS for b in ([], ["red"], ["red", "blue"])]
    return texts
