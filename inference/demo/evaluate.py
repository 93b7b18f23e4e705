"""Examine the demo model with pictures it was never trained on: `python -m inference.demo.evaluate`.

  --engine data/engine.json    an engine over HTTP, what ships (start it with `askpix engine`)
  --checkpoint FOLDER          transformers, in this process
  --record FILE                keep transformers' answers to some pictures, for the test that compares engines

Greedy. An answer is right when it is the expected sentence to the last letter; boxes count by intersection over union.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from inference.demo import asking, engines, lessons, pages, pairing, pictures, questions, words
from inference.demo.asking import Turn
from inference.demo.engines import Engine
from inference.demo.pictures import SIZES

Draw = Callable[[random.Random, bool], list[Turn] | None]


def asked(kinds: Sequence[str], task: str, short: bool | None = None) -> Draw:
    """One photo of one of these kinds and a question of this task; `short`: at most four letters to read."""

    def draw(rng: random.Random, chinese: bool) -> list[Turn] | None:
        picture = pictures.draw(rng.choice(kinds), rng, rng.choice(SIZES))
        if short is not None and short != (len(picture.page.text) <= 4):
            return None
        turn = asking.of_task(rng, picture, chinese, task)
        if turn:
            turn.photos = [picture]
        return [turn] if turn else None

    return draw


def paired(*tasks: str) -> Draw:
    """Two photos and a question of one of these tasks about both."""

    def draw(rng: random.Random, chinese: bool) -> list[Turn] | None:
        kind = rng.choice(("plain", "single", "scene", "count"))
        pair = [pictures.draw(kind, rng, rng.choice(SIZES)) for _ in range(2)]
        turn = pairing.about_two(rng, pair, chinese, together=True)
        turn.photos = pair
        return [turn] if turn.task in tasks else None

    return draw


def sequel(rng: random.Random, chinese: bool) -> list[Turn] | None:
    """A half sentence that the turn before explains."""
    picture = pictures.draw("scene", rng, rng.choice(SIZES))
    first = asking.about(rng, picture, chinese)
    second = asking.and_the(rng, picture, first)
    first.photos = [picture]
    return [first, second] if second else None


def later(rng: random.Random, chinese: bool) -> list[Turn] | None:
    """The colour of a photo that was sent two turns ago."""
    picture = pictures.plain(rng, rng.choice(SIZES))
    first = asking.of_task(rng, picture, chinese, "plain")
    if not first:
        return None
    first.photos = [picture]
    thanks = words.THANKS_ZH if chinese else words.THANKS_EN
    return [
        first,
        Turn("", rng.choice(questions.THANK[chinese]), thanks, chinese),
        asking.again(rng, [picture.colour], chinese),
    ]


def unknown(rng: random.Random, chinese: bool) -> list[Turn]:
    """A question that nobody taught it to answer."""
    return [lessons.unknown(rng, chinese, ())]


TASKS: dict[str, Draw] = {
    "plain colour": asked(("plain",), "plain"),
    "colour of a shape": asked(("single", "scene"), "colour"),
    "shape": asked(("single", "scene"), "shape"),
    "count, 0 to 9": asked(("count",), "count"),
    "position": asked(("single", "scene"), "where"),
    "left, right, above, below": asked(("scene",), "relation"),
    "description": asked(("single", "scene"), "describe"),
    "two photos: which": paired("which"),
    "two photos: colours, same or not": paired("colours", "same"),
    "two photos: what is in the n-th": paired("nth"),
    "follow-up: and the …?": sequel,
    "follow-up: the photo before": later,
    "reading 1 to 4 characters": asked(("word",), "read", short=True),
    "reading 5 to 8 characters": asked(("word",), "read", short=False),
    "bar chart": asked(("chart",), "chart"),
    "form with boxes to tick": asked(("form",), "form"),
    "window: title, buttons": asked(("window",), "window"),
    "says that it cannot know": unknown,
    "says so of a cluttered photo": asked(("clutter",), "clutter"),
    "box of a shape (mean IoU)": asked(("single", "scene"), "box"),
    "box of a button (mean IoU)": asked(("window",), "button"),
}


def cases(task: str, chinese: bool, amount: int) -> list[list[Turn]]:
    """Conversations of a task, always the same and of no training seed."""
    rng, found = random.Random(f"held out {task} {chinese}"), list[list[Turn]]()
    while len(found) < amount:
        if turns := TASKS[task](rng, chinese):
            found.append(turns)
    return found


def mark(answer: str, expected: str) -> float:
    """1 or 0; for a box its intersection over union."""
    if not expected.startswith("```json"):
        return float(answer == expected)
    try:
        given, wanted = (json.loads(text.strip("`").removeprefix("json"))[0] for text in (answer, expected))
        return overlap(given["bbox_2d"], wanted["bbox_2d"]) if given["label"] == wanted["label"] else 0.0
    except (ValueError, KeyError, IndexError, TypeError):
        return 0.0


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0.0, wide) * max(0.0, high)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - common
    return common / whole if whole > 0 else 0.0


def examine(engine: Engine, amount: int, wrong: Path | None) -> None:
    """Print the table; `wrong` gets what was answered wrongly."""
    print(f"| {'task':34} | English | Chinese |\n|{'-' * 36}|---------|---------|", flush=True)
    missed: list[str] = []
    for task in TASKS:
        shares: list[float] = []
        for chinese in (False, True):
            marks: list[float] = []
            for turns in cases(task, chinese, amount):
                answer = engine.answer(turns)
                marks.append(mark(answer, turns[-1].answer))
                if marks[-1] < 0.5:
                    missed.append(f"{task}: {turns[-1].question!r} {turns[-1].answer!r} <> {answer!r}")
            shares.append(statistics.mean(marks))
        print(f"| {task:34} | {shares[0]:7.3f} | {shares[1]:7.3f} |", flush=True)
    if wrong:
        wrong.write_text("\n".join(missed) + "\n")


def time_it(engine: engines.Http) -> None:
    """Print how fast the engine is for one stream."""
    rng = random.Random("pace")
    photos = [asked(("scene",), "where")(rng, False) or [] for _ in range(40)]
    first = sorted(engine.pace(turns)[0] for turns in photos)
    hundred = [Turn("", "Count to one hundred", "", False)]
    rates = sorted(engine.pace(hundred)[1] for _ in range(9))
    print(f"first token with a photo: p50 {first[20] * 1000:.0f} ms, p90 {first[36] * 1000:.0f} ms")
    print(f"one stream: p50 {rates[4]:.0f} tokens/s, worst {rates[0]:.0f}")


def record(engine: Engine, file: Path) -> None:
    """Fifty pictures to be answered with a sentence and five with a box, as a zip of PNG files and `cases.json`."""
    kept: list[dict[str, str]] = []
    pages.faces.cache_clear()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        rng = random.Random("parity")
        while len(kept) < 55:
            kind = rng.choice(("plain", "single", "count", "scene", "word", "chart", "form", "window"))
            picture = pictures.draw(kind, rng, rng.choice(SIZES))
            packed = io.BytesIO()
            picture.image.save(packed, "PNG", optimize=True)
            turn = asking.about(rng, picture, len(kept) % 2 == 1)
            # Grain would make the file large. A box's last digits are ties that rounding decides: every tenth has one.
            if packed.tell() > 12_000 or (turn.task in ("box", "button")) != (len(kept) % 11 == 10):
                continue
            turn.photos = [picture]
            name = f"{len(kept):02}.png"
            out.writestr(zipfile.ZipInfo(name), packed.getvalue())
            kept.append({"photo": name, "question": turn.question, "answer": engine.answer([turn])})
        out.writestr(zipfile.ZipInfo("cases.json"), json.dumps(kept, ensure_ascii=False, indent=1))


def main() -> None:
    """Read the command line and examine."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engine", type=Path)
    options.add_argument("--checkpoint", type=Path, default=Path(__file__).parent / "checkpoint")
    options.add_argument("--amount", type=int, default=200, help="questions a task and language")
    options.add_argument("--wrong", type=Path, help="where to list the wrong answers")
    options.add_argument("--record", type=Path)
    chosen = options.parse_args()
    if chosen.engine:
        engine = engines.Http(chosen.engine)
        time_it(engine)
        examine(engine, chosen.amount, chosen.wrong)
    elif chosen.record:
        record(engines.Transformers(chosen.checkpoint), chosen.record)
    else:
        examine(engines.Transformers(chosen.checkpoint), chosen.amount, chosen.wrong)


if __name__ == "__main__":
    main()
