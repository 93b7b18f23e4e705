"""Lessons as tokens, labels, positions and pixels: one batch is NumPy arrays that a worker process draws ahead."""
# The training environment alone has these packages, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from tokenizers import Tokenizer

from inference.demo import lessons, words
from inference.demo.lessons import Lesson, Size
from inference.demo.pictures import SIDE, SIZES, SMALL

IGNORED = -100
# Pieces that mean something to the model, or half a letter: never part of a question that means nothing.
UNFIT = re.compile(
    "\ufffd|colou?r|descri|how|many|read|writ|say|text|shape|count|hello|hi|hey|thank|色|你好|谢|形|几|写|读|框",
    re.IGNORECASE,
)


@dataclass
class Batch:
    """ids, labels (rows, length) and positions (3, rows, length); each slot one picture a row, with its first token.

    A long answer's tokens weigh less: `weights` (rows, length) is one through the root of the answer's length.
    `turns` tells which answer stands where: (row, first, end, task, chinese); first and end index `ids`.
    """

    ids: np.ndarray
    labels: np.ndarray
    positions: np.ndarray
    weights: np.ndarray
    pixels: list[np.ndarray] = field(default_factory=list)  # uint8 (rows, height, width, 3)
    starts: list[np.ndarray] = field(default_factory=list)  # int64 (rows,)
    turns: list[tuple[int, int, int, str, bool]] = field(default_factory=list)


class Layout:
    """Lays lessons out with a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        ids = [tokenizer.token_to_id(f"<|{name}|>") for name in ("im_start", "im_end", "vision_start", "vision_end")]
        self._start, self._end, self._look, self._looked = ids
        self._image, self.pad = tokenizer.token_to_id("<|image_pad|>"), tokenizer.token_to_id("<|endoftext|>")
        readable = (tokenizer.decode([at]) for at in range(tokenizer.get_vocab_size() - 8))
        self.pieces = [piece for piece in readable if piece.isprintable() and not UNFIT.search(piece)]
        self._encode = lru_cache(200_000)(lambda text: tokenizer.encode(text, add_special_tokens=False).ids)

    def lay_out(self, lesson: Lesson) -> tuple[list[int], list[int], list[list[int]], list[tuple[int, int, str, bool]]]:
        """Ids, labels, [start, width, height] of each picture in tokens, and the answers' places."""
        ids: list[int] = []
        labels: list[int] = []
        photos: list[list[int]] = []
        answers: list[tuple[int, int, str, bool]] = []

        def add(new: Sequence[int], wanted: bool = False) -> None:
            ids.extend(new)
            labels.extend(new if wanted else [IGNORED] * len(new))

        newline = self._encode("\n")
        if lesson.system:
            add([self._start, *self._encode(f"system\n{words.SYSTEM}"), self._end, *newline])
        for turn in lesson.turns:
            if turn.photos:
                add([self._start, *self._encode("user\n")])
                for photo in turn.photos:
                    wide, high = photo.image.width // SIDE, photo.image.height // SIDE
                    add([self._look])
                    photos.append([len(ids), wide, high])
                    add([*[self._image] * (wide * high), self._looked])
                add([*self._encode(turn.question), self._end, *newline])
            else:
                add([self._start, *self._encode(f"user\n{turn.question}"), self._end, *newline])
            add([self._start, *self._encode("assistant\n")])
            first = len(ids)
            add([*self._encode(turn.answer), self._end], wanted=True)
            answers.append((first, len(ids), turn.task, turn.chinese))
            add(newline)
        return ids, labels, photos, answers

    def collate(self, drawn: Sequence[Lesson]) -> Batch:
        """A batch of lessons that have pictures of the same sizes in the same order."""
        rows = [self.lay_out(lesson) for lesson in drawn]
        longest = -(-max(len(ids) for ids, *_ in rows) // 16) * 16
        shape = len(rows), longest
        batch = Batch(
            np.full(shape, self.pad, np.int64),
            np.full(shape, IGNORED, np.int64),
            np.zeros((3, *shape), np.int64),
            np.zeros(shape, np.float32),
        )
        for at, (ids, labels, photos, answers) in enumerate(rows):
            batch.ids[at, : len(ids)] = ids
            batch.labels[at, : len(ids)] = labels
            batch.positions[:, at] = positions(longest, photos)
            batch.turns += [(at, *answer) for answer in answers]
            for first, end, _, _ in answers:
                batch.weights[at, first:end] = (end - first) ** -0.5
        for slot in range(len(rows[0][2])):
            batch.starts.append(np.array([photos[slot][0] for _, _, photos, _ in rows], np.int64))
        images = [[photo.image for turn in lesson.turns for photo in turn.photos] for lesson in drawn]
        batch.pixels = [np.stack([np.asarray(row[slot]) for row in images]) for slot in range(len(images[0]))]
        return batch


def positions(length: int, photos: Sequence[Sequence[int]]) -> np.ndarray:
    """Qwen3-VL's three position rows: a picture's time stands still while its rows and columns count."""
    found = np.empty((3, length), np.int64)
    at = now = 0
    for start, wide, high in photos:
        found[:, at:start] = np.arange(now, now + start - at)
        now += start - at
        place = np.arange(wide * high)
        found[0, start : start + wide * high] = now
        found[1, start : start + wide * high] = now + place // wide
        found[2, start : start + wide * high] = now + place % wide
        now += max(wide, high)
        at = start + wide * high
    found[:, at:] = np.arange(now, now + length - at)
    return found


def recipe(rng: random.Random, rows: int) -> tuple[str, list[Size], int]:
    """A recipe, the sizes of its pictures, and how many lessons a batch of it has (about the same work each)."""
    kind = rng.choices(("one", "small", "two", "album", "talk", "counting"), (66, 4, 18, 5, 3, 4))[0]
    if kind == "one":
        return "one", [rng.choice(SIZES)], rows
    if kind == "small":
        return "one", [rng.choice(SMALL)], rows
    if kind == "two":
        return "two", [rng.choice(SIZES if rng.random() < 0.85 else SMALL) for _ in range(2)], rows // 2
    if kind == "album":
        amount = rng.choice((3, 4, 5, 6, 8, 12))
        return "album", [lessons.picture_size(rng) for _ in range(amount)], max(2, rows // amount)
    if kind == "talk":
        return "talk", [], rows
    return "counting", [rng.choice(SIZES)] if rng.random() < 0.3 else [], max(2, rows // 3)


def draw(layout: Layout, seed: str, rows: int) -> Batch:
    """The batch of a seed."""
    rng = random.Random(seed)
    kind, sizes, amount = recipe(rng, rows)
    return layout.collate([lessons.RECIPES[kind](rng, sizes, layout.pieces) for _ in range(amount)])
