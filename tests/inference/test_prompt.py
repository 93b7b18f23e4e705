"""Turns as the engine reads them, and the promise that all rests on: a prompt is counted as the engine counts it."""

from __future__ import annotations

import base64
import random
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from inference import budget
from inference.engine import Engine, EngineAddress
from inference.prompt import GONE, OPENING, SYSTEM, clean, messages, template
from inference.stream import Generation
from storage.messages import Photo, Quote, Turn
from storage.vision import image_tokens
from tests.inference.turns import TEXTS, conversation, picture

OWN, OWN_BYTES = picture(64, 64, 1)
OTHER, OTHER_BYTES = picture(320, 192, 2)
KEPT = {OWN.sha256: OWN_BYTES, OTHER.sha256: OTHER_BYTES}


def content(turn: Turn, kept: dict[str, bytes] = KEPT) -> Any:
    """What a turn's message holds, photos by their record."""
    system, message = messages([turn], kept)
    assert system == {"role": "system", "content": SYSTEM} and message["role"] == turn.role
    found = message["content"]
    return found if isinstance(found, str) else [part.get("text") or photo_of(part) for part in found]


def photo_of(part: dict[str, Any]) -> Any:
    head, _, data = part["image_url"]["url"].partition(";base64,")
    found = next(photo for photo in (OWN, OTHER) if KEPT[photo.sha256] == base64.b64decode(data))
    assert head == f"data:{found.mime}"  # never a URL that an engine would fetch
    return found


@pytest.mark.parametrize(
    "token", ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|image_pad|>", "<|endoftext|>", "<|fim_prefix|>"]
)
def test_a_special_token_in_any_text_is_only_words(token: str):
    for role in ("user", "assistant"):
        said = content(Turn(role, f"a{token}b", quote=Quote(f"c{token}d") if role == "user" else None))
        assert token not in said
        assert "< |" in said
    assert clean("a < b || c |> d <| e") == "a < b || c |> d <| e"


@given(st.lists(st.sampled_from([*"<|>im_end \u0301", "<|", "|>", "<|im_end|>"])))
def test_no_text_ever_makes_a_special_token(parts: list[str]):
    text = "".join(parts)
    assert not re.search(r"<\|\w+\|>", clean(text))
    assert clean(clean(text)) == clean(text)


def test_texts_are_composed():
    assert content(Turn("user", "e\u0301")) == "é"
    assert content(Turn("assistant", "\u1100\u1161")) == "가"


def test_what_is_quoted_comes_before_what_is_asked_and_photos_before_their_words():
    turn = Turn("user", "And this?", (OWN,), Quote("Look at that", (OTHER,)))
    assert content(turn) == [OTHER, "They quote this message:\nLook at that\n\n", OWN, "And this?"]


def test_words_that_touch_are_one_text():
    assert content(Turn("user", " b ", quote=Quote(" a "))) == "They quote this message:\na\n\nb"
    assert content(Turn("user", "b", quote=Quote("", (OWN,)))) == [OWN, "b"]
    assert content(Turn("user", "", (OWN, OTHER))) == [OWN, OTHER]
    assert content(Turn("user", " ")) == ""


def test_an_answer_keeps_its_spaces():
    assert content(Turn("assistant", " yes\n")) == " yes\n"  # the engine has it so in its prefix cache


def test_a_photo_that_is_gone_leaves_a_mark_in_its_place():
    turn = Turn("user", "b", (OWN, OTHER), Quote("a", (OTHER,)))
    kept = {OWN.sha256: OWN_BYTES}
    assert content(turn, kept) == [f"{GONE}\nThey quote this message:\na\n\n", OWN, f"{GONE}\nb"]
    assert content(turn, {}) == f"{GONE}\nThey quote this message:\na\n\n{GONE}\n{GONE}\nb"
    assert image_tokens(64, 64) - 2 == template(turn, kept)[1]


def captioned(*captions: str) -> tuple[Photo, ...]:
    """An album of our two photos in turn, with these captions."""
    return tuple(structs.replace((OWN, OTHER)[at % 2], caption=caption) for at, caption in enumerate(captions))


@pytest.mark.parametrize("captions", [("which?", "", ""), ("", " which? ", ""), ("", "", "which?")])
def test_an_albums_only_caption_is_the_question_behind_every_photo(captions: tuple[str, ...]):
    assert described(Turn("user", "", captioned(*captions))) == ["OWN", "OTHER", "OWN", "which?"]


def test_several_captions_stand_each_behind_its_photo():
    assert described(Turn("user", "", captioned("a", "", "b"))) == ["OWN", "a", "OTHER", "OWN", "b"]
    assert described(Turn("user", "", captioned("a", "b", ""))) == ["OWN", "a", "OTHER", "b", "OWN"]
    quoted = Turn("user", "", captioned("a", "b"), Quote("look", (OTHER,)))
    assert described(quoted) == ["OTHER", "They quote this message:\nlook\n\n", "OWN", "a", "OTHER", "b"]


def test_what_was_asked_besides_the_captions_stands_last_and_drops_none():
    assert described(Turn("user", "which?", captioned("", "b"))) == ["OWN", "OTHER", "b\nwhich?"]
    assert described(Turn("user", "which?", captioned("a", ""))) == ["OWN", "a", "OTHER", "which?"]
    assert described(Turn("user", "which?", captioned("", ""))) == ["OWN", "OTHER", "which?"]


def test_a_caption_keeps_its_place_when_its_photo_is_gone():
    kept = {OWN.sha256: OWN_BYTES}
    assert described(Turn("user", "", captioned("a", "b")), kept) == ["OWN", f"a\n{GONE}\nb"]
    assert described(Turn("user", "", captioned("a", "b", "c")), kept) == ["OWN", f"a\n{GONE}\nb", "OWN", "c"]


def test_a_special_token_in_a_caption_is_only_words():
    (_, first, _, second) = described(Turn("user", "", captioned("<|im_end|>", "e\u0301 <|image_pad|>")))
    assert (first, second) == ("< |im_end|>", "é < |image_pad|>")


def described(turn: Turn, kept: dict[str, bytes] = KEPT) -> list[str]:
    """A turn's content with its photos by name."""
    names = {OWN.sha256: "OWN", OTHER.sha256: "OTHER"}
    return [part if isinstance(part, str) else names[part.sha256] for part in content(turn, kept)]


def call(address: EngineAddress) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {address.key}"}
    return httpx.AsyncClient(base_url=address.url, headers=headers, timeout=20, trust_env=False)


async def test_the_template_is_the_models_own(embedded_engine: EngineAddress):
    rng = random.Random(5)
    async with call(embedded_engine) as http:
        for _ in range(20):
            turns, kept = conversation(rng, rng.choice((1, 2, 4)))
            body = {"messages": messages(turns, kept)}
            made: str = (await http.post("/apply-template", json=body)).json()["prompt"]
            # llama.cpp puts a mark of its own in an image's place; it becomes what the model reads around its patches.
            made = re.sub(r"<__media_\w{8,}__>", "<|vision_start|><|vision_end|>", made)
            system = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
            assert made == system + "".join(template(turn, kept)[0] for turn in turns) + OPENING


async def test_every_prompt_is_counted_exactly_as_the_engine_counts_it(embedded_engine: EngineAddress):
    rng = random.Random(17)
    async with Engine(lambda: embedded_engine) as engine:
        model = await engine.probe()
        trimmed = 0
        for number in range(40):
            turns, kept = conversation(rng, 40 if number > 37 else rng.choice((1, 1, 2, 3, 5, 12)))  # two too long
            if number < len(TEXTS):  # each text alone once, whatever the dice say
                turns, kept = [Turn("user", TEXTS[number])], {}
            counts: list[int] = []
            for turn in turns:
                text, tokens = template(turn, kept)
                counts.append(await engine.count(text) + tokens)
            base = await engine.count(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n") + await engine.count(OPENING)
            fitting, size = budget.fit(turns, counts, base, model.context)
            trimmed += fitting != turns
            generation = Generation()
            stream = engine.stream(messages(fitting, kept), rid="r", salt="s", max_tokens=1, generation=generation)
            assert len([text async for text in stream]) <= 1
            assert generation.prompt_tokens == size, turns
        assert trimmed >= 2, "the context was never full"
