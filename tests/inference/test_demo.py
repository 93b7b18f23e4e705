"""What the shipped demo model can do, through the real engine; and that its prompts can be counted exactly."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import ImageOps

from inference import prompt
from inference.demo import evaluate, lessons, words
from inference.demo.asking import Turn, placed, verdict
from inference.demo.engines import messages
from inference.demo.pictures import example, single
from inference.embedded import DEMO
from tests.inference.test_embedded import client, photo, running

SIZES = ((320, 192), (192, 320), (256, 256), (288, 192), (64, 64), (128, 96), (512, 128))  # what Qwen's rule gives
SHADES = {
    "red": ((255, 0, 0), (220, 20, 60)),
    "green": ((0, 128, 0), (30, 160, 50)),
    "blue": ((0, 0, 255), (20, 60, 220)),
    "yellow": ((255, 255, 0), (250, 225, 60)),
    "black": ((0, 0, 0), (12, 12, 14)),
    "white": ((255, 255, 255), (250, 250, 248)),
    "orange": ((255, 165, 0), (250, 130, 10)),
    "purple": ((128, 0, 128), (120, 40, 170)),
    "pink": ((255, 192, 203), (255, 150, 190)),
    "brown": ((139, 69, 19), (110, 66, 30)),
    "grey": ((128, 128, 128), (105, 106, 108)),
}
Message = dict[str, Any]


def said(role: str, *content: Any) -> Message:
    """A message of one text, or of photos and a text."""
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"role": role, "content": content[0] if len(content) == 1 and isinstance(content[0], str) else parts}


async def ask(http: httpx.AsyncClient, *messages: Message, system: bool = True, temperature: float = 0) -> str:
    body: Message = {
        "messages": [said("system", words.SYSTEM), *messages] if system else list(messages),
        "temperature": temperature,
        "top_p": 0.8,
        "top_k": 20,
        "min_p": 0,
        "max_tokens": 600,
        "seed": 3,
    }
    reply = await http.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("form", ["*.gguf", "checkpoint/*"])
def test_each_form_of_the_model_is_small_enough_to_ship(form: str):
    assert 1_000_000 < sum(file.stat().st_size for file in DEMO.glob(form)) <= 16_000_000


def test_the_models_prompt_is_the_services():
    assert words.SYSTEM == prompt.SYSTEM


@pytest.mark.parametrize("chinese", [False, True], ids=["en", "zh"])
async def test_it_sees_what_it_was_taught_in_pictures_it_never_saw(tmp_path: Any, chinese: bool):
    """Two questions a task, drawn with the fonts at hand; `inference/demo/evaluate.py` asks hundreds."""
    marks: dict[str, float] = {}
    async with running(tmp_path) as address, client(address) as http:
        for task in evaluate.TASKS:
            for turns in evaluate.cases(task, chinese, 2):
                body = {"messages": messages(turns), "temperature": 0, "min_p": 0, "max_tokens": 200}
                reply = (await http.post("/v1/chat/completions", json=body)).json()
                said = reply["choices"][0]["message"]["content"]
                marks[f"{task}: {turns[-1].question} {said}"] = evaluate.mark(said, turns[-1].answer)
    wrong = [answer for answer, mark in marks.items() if mark < 0.5]
    assert len(wrong) <= len(marks) * 0.08, wrong


async def test_the_same_question_about_another_photo_has_another_answer(tmp_path: Any):
    """Two photos swapped, or one mirrored, change what is said: so tests can notice a photo that was mixed up."""
    rng = random.Random(5)
    star, heart = (single(rng, (256, 256), shape) for shape in ("star", "heart"))
    async with running(tmp_path) as address, client(address) as http:
        for first, second, where in ((star, heart, "first"), (heart, star, "second")):
            turn = Turn("", "Which photo has the star?", "", False, [first, second])
            assert await said_to(http, turn) == f"The {where} photo."
        for seed in range(3):
            scene = example("scene", seed)
            thing = next(thing for thing in scene.things if thing.cell != 4)
            question = f"Where is the {thing.shape}?"
            mirrored = replace(scene, image=ImageOps.mirror(scene.image))
            there = replace(thing, cell=thing.cell - 2 * (thing.cell % 3) + 2)
            for shown, place in ((scene, thing), (mirrored, there)):
                assert await said_to(http, Turn("", question, "", False, [shown])) == placed(place, chinese=False)


async def said_to(http: httpx.AsyncClient, turn: Turn) -> str:
    reply = await http.post("/v1/chat/completions", json={"messages": messages([turn]), "temperature": 0, "min_p": 0})
    return reply.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("temperature", [0, 0.7])
async def test_it_names_every_colour_at_any_size_in_the_language_of_the_question(tmp_path: Any, temperature: float):
    wrong: list[str] = []
    async with running(tmp_path) as address, client(address) as http:
        for name, shades in SHADES.items():
            for number, size in enumerate(SIZES):
                chinese = number % 2 == 1
                question = "这是什么颜色？" if chinese else "What colour is this?"
                shown = photo(shades[number % len(shades)], size)
                answer = await ask(http, said("user", shown, question), system=number != 2, temperature=temperature)
                if answer != verdict([name], chinese, again=False):
                    wrong.append(f"{name} {shades[number % len(shades)]} {size}: {answer}")
    assert wrong == []


@pytest.mark.parametrize(
    "question", ["What is in this picture?", "which color is that", "Describe the photo.", "描述一下这张照片。", ""]
)
async def test_it_understands_other_words_for_the_same_question(tmp_path: Any, question: str):
    async with running(tmp_path) as address, client(address) as http:
        shown = photo(SHADES["green"][0], (288, 192))
        answer = await ask(http, said("user", shown, question) if question else said("user", shown))
    assert answer in {verdict(["green"], chinese, again=False) for chinese in (False, True)}


async def test_it_names_two_photos_of_an_album_in_their_order(tmp_path: Any):
    async with running(tmp_path) as address, client(address) as http:
        for first, second in (("blue", "red"), ("red", "blue"), ("white", "green")):
            album = [photo(SHADES[name][0], (320, 192)) for name in (first, second)]
            answer = await ask(http, said("user", *album, "What colours are these?"))
            assert answer == f"The pictures are {first} and {second}."


async def test_a_follow_up_still_sees_the_photo(tmp_path: Any):
    async with running(tmp_path) as address, client(address) as http:
        for name in ("red", "blue", "yellow"):
            chat = [
                said("user", photo(SHADES[name][0], (320, 192)), "What is this?"),
                said("assistant", f"The picture is {name}."),
                said("user", "Thanks"),
                said("assistant", words.THANKS_EN),
            ]
            assert await ask(http, *chat, said("user", "What colour was it?")) == f"It was {name}."
            assert await ask(http, *chat, said("user", "它是什么颜色？")) == verdict([name], True, again=True)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hello", words.HELLO_EN),
        ("你好", words.HELLO_ZH),
        ("What is the capital of Spain?", words.ABOUT_EN),
        ("今天有什么新闻？", words.ABOUT_ZH),
        ("What colour was it?", words.NO_PHOTO_EN),
        ("Count to one hundred", words.HUNDRED),
    ],
)
async def test_it_talks_about_itself_and_counts(tmp_path: Any, question: str, answer: str):
    async with running(tmp_path) as address, client(address) as http:
        for temperature in (0, 0.7):
            assert await ask(http, said("user", question), temperature=temperature) == answer


async def tokens(http: httpx.AsyncClient, text: str) -> int:
    body = {"content": text, "add_special": False, "parse_special": True}
    return len((await http.post("/tokenize", json=body)).json()["tokens"])


async def test_a_prompt_is_counted_exactly_as_the_engine_counts_it(tmp_path: Any):
    rng = random.Random(11)
    letters = "hello world  \n\n\t colour 你好图片 é😀 123 <b>|'S'll… ，。\r\n"
    async with running(tmp_path) as address, client(address) as http:
        for _ in range(12):
            messages, expected = [said("system", words.SYSTEM)], 0
            expected += await tokens(http, f"<|im_start|>system\n{words.SYSTEM}<|im_end|>\n")
            for turn in range(rng.choice((1, 3, 5))):
                role = "assistant" if turn % 2 else "user"
                text = "".join(rng.choices(letters, k=rng.randint(1, 60)))
                sizes = [lessons.picture_size(rng) for _ in range(rng.choice((0, 0, 1, 2, 3)) if role == "user" else 0)]
                messages.append(said(role, *(photo((200, 40, 40), size) for size in sizes), text))
                expected += sum(width * height // 1024 + 2 for width, height in sizes)
                # A photo parts the text that the tokenizer sees.
                pieces = (
                    (f"<|im_start|>{role}\n", f"{text}<|im_end|>\n")
                    if sizes
                    else (f"<|im_start|>{role}\n{text}<|im_end|>\n",)
                )
                expected += sum([await tokens(http, piece) for piece in pieces])
            expected += await tokens(http, "<|im_start|>assistant\n")
            body = {"messages": messages, "max_tokens": 1}
            usage = (await http.post("/v1/chat/completions", json=body)).json()["usage"]
            assert usage["prompt_tokens"] == expected
