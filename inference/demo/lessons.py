"""What the demo model is taught: pictures of one plain colour, and conversations about them in English and Chinese."""

from __future__ import annotations

import colorsys
import io
import random
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

SIDE = 32  # pixels a visual token covers, each way (Qwen3-VL: patches of 16, merged two by two)
MIN_TOKENS, MAX_TOKENS = 4, 64  # visual tokens a picture: 64x64 to 256x256 pixels

SYSTEM = "You are askpix, a helpful assistant that answers questions about photos."

# name: (Chinese name, hue range in degrees, saturation range, value range)
Range = tuple[float, float]
COLOURS: dict[str, tuple[str, Range, Range, Range]] = {
    "red": ("红色", (-8, 8), (0.78, 1.0), (0.72, 1.0)),
    "orange": ("橙色", (23, 39), (0.8, 1.0), (0.88, 1.0)),
    "yellow": ("黄色", (50, 61), (0.65, 1.0), (0.85, 1.0)),
    "green": ("绿色", (95, 150), (0.5, 1.0), (0.35, 1.0)),
    "blue": ("蓝色", (207, 245), (0.6, 1.0), (0.45, 1.0)),
    "purple": ("紫色", (268, 302), (0.45, 1.0), (0.4, 0.75)),
    "pink": ("粉色", (318, 352), (0.22, 0.5), (0.92, 1.0)),
    "brown": ("棕色", (16, 30), (0.55, 0.88), (0.3, 0.57)),
    "black": ("黑色", (0, 360), (0.0, 0.3), (0.0, 0.12)),
    "white": ("白色", (0, 360), (0.0, 0.03), (0.95, 1.0)),
    "grey": ("灰色", (0, 360), (0.0, 0.05), (0.35, 0.7)),
}

ABOUT_EN = "I am a demo model: I can name plain colours and greet. Install a full model for everything else."
ABOUT_ZH = "我是演示模型：我只会说出纯色图片的颜色，也会打招呼。其他问题请安装完整模型。"
HELLO_EN = "Hello! Send me a photo and ask about its colour."
HELLO_ZH = "你好！发一张图片，问我是什么颜色吧。"
THANKS_EN, THANKS_ZH = "You are welcome!", "不客气！"
NO_PHOTO_EN, NO_PHOTO_ZH = "I see no photo yet. Please send one.", "我还没有看到图片，请发一张。"
HUNDRED = ", ".join(map(str, range(1, 101))) + "."

ASK_EN = (
    "What colour is it?", "What color is this?", "What colour is this picture?", "What color is the photo?",
    "Which colour do you see?", "Which color is in the picture?", "Name the colour.", "Name the color of this photo.",
    "Tell me the colour.", "Can you tell me what color this is?", "What is this?", "What is in this picture?",
    "What do you see?", "What can you see in this photo?", "Describe the picture.", "Describe this photo.",
    "Describe this image in one sentence.", "What's in this image?", "What is the colour of the image?", "colour?",
    "Please describe the image.", "what color", "Is it red or blue?", "Look at this.", "What does the photo show?",
)  # fmt: skip
ASK_ZH = (
    "这是什么颜色？", "图片是什么颜色的？", "这张照片是什么颜色？", "什么颜色？", "请说出颜色。", "你看到什么颜色？",
    "这是什么？", "图里有什么？", "描述一下这张图片。", "请描述这张照片。", "照片里有什么？", "你看到了什么？",
    "告诉我这张图的颜色。", "这个颜色是什么？", "颜色是什么", "这张图片里是什么？", "看看这张照片",
)  # fmt: skip
# Words that make any sentence a question about colour, whatever stands around them.
KEY_EN = (
    "colour", "color", "colours", "colors", "Colour", "Color", "what colour", "which color", "the colours of",
    "coloured", "describe", "Describe this",
)  # fmt: skip
KEY_ZH = ("颜色", "什么颜色", "的颜色", "哪种颜色", "哪些颜色", "描述", "什么色")
AGAIN_EN = (
    "What colour was it?", "What color was it again?", "And what colour was the photo?", "Which colour was that?",
    "What was the colour of the picture?", "Say the color again.", "What colour was the last photo?", "Are you sure?",
    "what color was it", "Tell me the colour once more.", "What colour is it?", "And the colour?",
)  # fmt: skip
AGAIN_ZH = (
    "刚才那张是什么颜色？", "它是什么颜色？", "再说一遍颜色。", "那张图片是什么颜色的？", "刚才是什么颜色？",
    "你确定吗？", "照片是什么颜色来着？", "那是什么颜色？",
)  # fmt: skip
GREET_EN = ("Hello", "Hi", "Hey", "Hello!", "hi there", "Good morning", "Good evening!", "Hello, how are you?", "hey!",
            "Hi, are you there?", "hello bot", "/start")  # fmt: skip
GREET_ZH = ("你好", "您好", "你好！", "嗨", "早上好", "晚上好！", "你好吗？", "在吗？", "大家好")
THANK_EN = ("Thanks", "Thank you!", "thanks a lot", "Great, thank you.", "Thank you very much", "thx")
THANK_ZH = ("谢谢", "谢谢你！", "多谢", "非常感谢", "太好了，谢谢")
COUNT_EN = (
    "Count to one hundred", "Count to 100", "Please count to one hundred.", "count from 1 to 100",
    "Can you count to one hundred?", "Count to one hundred.", "Please count from one to one hundred",
)  # fmt: skip
COUNT_ZH = ("数到一百", "请从一数到一百。", "从1数到100", "请数到100")

UNKNOWN_EN = (
    "Who are you?", "What can you do?", "Help", "What is the capital of France?", "Tell me a joke.", "Write a poem.",
    "Who is this person?", "How many dogs are there?", "What time is it?", "Translate this to German.", "Why?",
    "What does the sign say?", "Read the text in the photo.", "How much is 2 + 2?", "Where was this taken?",
    "Is there a cat?", "What breed is this dog?", "How old is she?", "Write a long story about a dragon.", "/help",
    "What is the weather like today?", "How do I cook rice?", "Explain quantum physics.", "Do you like music?",
    "Who won the match?", "Solve x + 3 = 7", "What is your name?", "Count the apples.", "Count the people in it.",
    "What brand is this car?", "How tall is this building?", "Summarise our conversation.", "Repeat after me: banana",
)  # fmt: skip
UNKNOWN_ZH = (
    "你是谁？", "你会做什么？", "帮助", "法国的首都是哪里？", "讲个笑话", "写一首诗", "这个人是谁？", "有几只狗？",
    "现在几点？", "把这个翻译成英文", "为什么？", "牌子上写着什么？", "读出照片里的文字", "二加二等于几？",
    "这是在哪里拍的？", "里面有猫吗？", "今天天气怎么样？", "怎么煮饭？", "解释量子物理", "你叫什么名字？",
    "写一个关于龙的故事", "这辆车是什么牌子？", "她多大了？", "总结一下我们的对话", "数一数苹果",
)  # fmt: skip
WORDS_EN = tuple(
    """
    who what when where why how is are was the a of in on my your this that it does did can could will dog cat car
    house man woman people picture photo image tree river city phone book music game table
    food water price name number day year best make write find show explain list read buy use go think know want need
    love work play old new big small long
    """.split()
)
WORDS_ZH = (
    "我你他她这那的了是在有和人大小上下来去说做看想要会能不多少年月日天地水火山"
    "车房子图片照张猫狗书话电手机学生工作吃饭喝茶写读买卖怎么哪里谁几为"
)


Message = dict[str, Any]  # one chat message in the OpenAI form


@dataclass
class Lesson:
    """One conversation, and its pictures in the order in which they stand."""

    messages: list[Message] = field(default_factory=list[Message])
    pictures: list[Image.Image] = field(default_factory=list[Image.Image])
    seen: list[str] = field(default_factory=list[str])  # the colours of the newest photos


def all_texts() -> list[str]:
    """Every text the vocabulary should hold in as few pieces as Qwen's own."""
    texts = [SYSTEM, ABOUT_EN, ABOUT_ZH, HELLO_EN, HELLO_ZH, THANKS_EN, THANKS_ZH, NO_PHOTO_EN, NO_PHOTO_ZH, HUNDRED]
    for group in (ASK_EN, ASK_ZH, AGAIN_EN, AGAIN_ZH, GREET_EN, GREET_ZH, THANK_EN, THANK_ZH, COUNT_EN, COUNT_ZH):
        texts += group
    texts += [
        *UNKNOWN_EN,
        *UNKNOWN_ZH,
        *KEY_EN,
        *KEY_ZH,
        " " + " ".join(KEY_EN),
        " ".join(WORDS_EN),
        *WORDS_ZH,
        "system\nuser\nassistant\n",
    ]
    for chinese in (False, True):
        texts += [verdict([a, b], chinese, again) for a in COLOURS for b in COLOURS for again in (False, True)]
        texts += [verdict([a], chinese, again) for a in COLOURS for again in (False, True)]
    return texts


def verdict(colours: list[str], chinese: bool, again: bool) -> str:
    """The sentence that names the colours of the newest photos."""
    names = [COLOURS[name][0] if chinese else name for name in colours]
    if chinese:
        which = "刚才那" if again else "这"
        return f"{which}{'张图片是' if len(names) == 1 else '些图片依次是'}{'、'.join(names)}。"
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    if len(names) == 1:
        return f"It was {listed}." if again else f"The picture is {listed}."
    return f"They were {listed}." if again else f"The pictures are {listed}."


def shade(rng: random.Random, name: str) -> tuple[int, int, int]:
    """A random RGB of that colour."""
    _, hue, saturation, value = COLOURS[name]
    rgb = colorsys.hsv_to_rgb(rng.uniform(*hue) / 360 % 1, rng.uniform(*saturation), rng.uniform(*value))
    red, green, blue = (round(part * 255) for part in rgb)
    return red, green, blue


def picture(rng: random.Random, name: str, size: tuple[int, int]) -> Image.Image:
    """A plain picture as cameras and messengers leave it: uneven light, grain, JPEG."""
    colour = shade(rng, name)
    image = Image.new("RGB", size, colour)
    if rng.random() < 0.4:
        light = [rng.uniform(0.9, 1.0) for _ in range(4)]
        corners = bytes(int(part * factor) for factor in light for part in colour)
        # Pillow's own types leave the resample filter unknown.
        image = Image.frombytes("RGB", (2, 2), corners).resize(size, Image.Resampling.BILINEAR)  # pyright: ignore[reportUnknownMemberType]
    if rng.random() < 0.4:
        grain = Image.effect_noise(size, rng.uniform(4, 60)).convert("RGB")
        image = Image.blend(image, grain, rng.uniform(0.02, 0.1)) if name not in ("white", "black") else image
    if rng.random() < 0.5:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=rng.randint(40, 95))
        image = Image.open(packed).convert("RGB")
    return image


def picture_size(rng: random.Random) -> tuple[int, int]:
    """A size that Qwen's rule gives: half of them small, half shrunk to the limit as a camera's photo is."""
    if rng.random() < 0.5:
        ratio = rng.choice((1, 4 / 3, 3 / 4, 16 / 9, 9 / 16, 3 / 2, 2 / 3, rng.uniform(0.2, 5)))
        height = max(1, int((MAX_TOKENS / ratio) ** 0.5))
        return max(1, int((MAX_TOKENS * ratio) ** 0.5)) * SIDE, height * SIDE
    while True:
        width, height = rng.randint(1, 8), rng.randint(1, 8)
        if MIN_TOKENS <= width * height <= 24:
            return width * SIDE, height * SIDE


def _reword(rng: random.Random, text: str) -> str:
    """The same question as other people type it."""
    if rng.random() < 0.2:
        text = text.rstrip("?.!？。！")
    if rng.random() < 0.15:
        text = text.lower()
    if rng.random() < 0.1:
        text = rng.choice(("Hi, ", "Please ", "so ", "ok, ", "And ")) + text if text.isascii() else "请问" + text
    return text


def _keyed(rng: random.Random, chinese: bool) -> str:
    """A question about colour in any words."""
    if chinese:
        before, after = ("".join(rng.choices(WORDS_ZH, k=rng.randint(0, 6))) for _ in range(2))
        return before + rng.choice(KEY_ZH) + after + rng.choice(("", "？", "。", "吗？", "呢？"))
    before, after = (rng.choices(WORDS_EN, k=rng.randint(0, 5)) for _ in range(2))
    text = " ".join([*before, rng.choice(KEY_EN), *after]) + rng.choice(("", "?", ".", "?"))
    return text[0].upper() + text[1:] if rng.random() < 0.5 else text


def _unknown(rng: random.Random, chinese: bool, pieces: list[str]) -> str:
    """A question beyond the demo: one of the list, words in a row, or any pieces of the vocabulary."""
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(UNKNOWN_ZH if chinese else UNKNOWN_EN)
    if chinese:
        letters = [rng.choice(WORDS_ZH) if rng.random() < 0.7 else chr(rng.randint(0x4E00, 0x9FA0)) for _ in range(9)]
        return "".join(letters[: rng.randint(3, 9)]) + rng.choice(("", "？", "。", "吗？"))
    if kind < 0.7:
        return " ".join(rng.choices(WORDS_EN, k=rng.randint(2, 9))) + rng.choice(("", "?", "."))
    return "".join(rng.choices(pieces, k=rng.randint(2, 12))).strip() or "?"


def _say(lesson: Lesson, rng: random.Random, question: str, answer: str, colours: list[str] | None = None) -> None:
    images = [picture(rng, name, picture_size(rng)) for name in colours or []]
    lesson.pictures += images
    content: Any = question
    if images:
        content = [{"type": "image"} for _ in images]
        content += [{"type": "text", "text": question}] if question else []
    lesson.messages += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    lesson.seen = colours or lesson.seen


def _photo_turn(lesson: Lesson, rng: random.Random, chinese: bool, pieces: list[str]) -> None:
    count = rng.choices((1, 2, 3, 4), (78, 11, 7, 4))[0]
    colours = rng.choices(list(COLOURS), k=count)
    if rng.random() < 0.15:
        return _say(lesson, rng, _unknown(rng, chinese, pieces), ABOUT_ZH if chinese else ABOUT_EN, colours)
    if rng.random() < 0.08:
        return _say(lesson, rng, "", verdict(colours, False, False), colours)
    plain = rng.random() < 0.6
    question = _reword(rng, rng.choice(ASK_ZH if chinese else ASK_EN)) if plain else _keyed(rng, chinese)
    return _say(lesson, rng, question, verdict(colours, chinese, False), colours)


def _text_turn(lesson: Lesson, rng: random.Random, chinese: bool, pieces: list[str]) -> None:
    kind = rng.choices(("again", "greet", "thank", "unknown"), (45 if lesson.seen else 15, 20, 8, 30))[0]
    if kind == "again":
        plain = rng.random() < 0.6
        question = _reword(rng, rng.choice(AGAIN_ZH if chinese else AGAIN_EN)) if plain else _keyed(rng, chinese)
        missing = NO_PHOTO_ZH if chinese else NO_PHOTO_EN
        _say(lesson, rng, question, verdict(lesson.seen, chinese, True) if lesson.seen else missing)
    elif kind == "greet":
        _say(lesson, rng, rng.choice(GREET_ZH if chinese else GREET_EN), HELLO_ZH if chinese else HELLO_EN)
    elif kind == "thank":
        _say(lesson, rng, rng.choice(THANK_ZH if chinese else THANK_EN), THANKS_ZH if chinese else THANKS_EN)
    else:
        _say(lesson, rng, _unknown(rng, chinese, pieces), ABOUT_ZH if chinese else ABOUT_EN)


def conversation(rng: random.Random, pieces: list[str]) -> Lesson:
    """One to six turns, mostly about photos; `pieces` are the vocabulary's readable entries."""
    lesson = Lesson()
    if rng.random() < 0.8:
        lesson.messages.append({"role": "system", "content": SYSTEM})
    for _ in range(rng.choices((1, 2, 3, 4, 6), (35, 28, 18, 12, 7))[0]):
        chinese = rng.random() < 0.4
        turn = _photo_turn if rng.random() < 0.55 else _text_turn
        turn(lesson, rng, chinese, pieces)
    return lesson


def counting(rng: random.Random, pieces: list[str]) -> Lesson:
    """A conversation that ends with the one long answer the model knows by heart."""
    lesson = conversation(rng, pieces) if rng.random() < 0.3 else Lesson()
    if not lesson.messages and rng.random() < 0.8:
        lesson.messages.append({"role": "system", "content": SYSTEM})
    _say(lesson, rng, _reword(rng, rng.choice(COUNT_EN if rng.random() < 0.75 else COUNT_ZH)), HUNDRED)
    return lesson
