"""The wordings of every question, English and Chinese; `{…}` is filled in by `asking.py`."""

from __future__ import annotations

Wordings = tuple[tuple[str, ...], tuple[str, ...]]

DESCRIBE: Wordings = (
    (
        "What is this?", "What is in this picture?", "What do you see?", "What can you see in this photo?",
        "Describe the picture.", "Describe this photo.", "Describe this image in one sentence.", "Look at this.",
        "What's in this image?", "Please describe the image.", "What does the photo show?", "What is it?",
        "Tell me what you see.", "Describe the photo.",
    ),
    (
        "这是什么？", "图里有什么？", "描述一下这张图片。", "请描述这张照片。", "照片里有什么？", "你看到了什么？",
        "这张图片里是什么？", "看看这张照片", "图片里有什么？", "描述一下这张照片。",
    ),
)  # fmt: skip
PLAIN: Wordings = (
    (
        "What colour is it?", "What color is this?", "What colour is this picture?", "What color is the photo?",
        "Which colour do you see?", "Which color is in the picture?", "Name the colour.", "Tell me the colour.",
        "Name the color of this photo.", "Can you tell me what color this is?", "What is the colour of the image?",
        "colour?", "what color", "Is it red or blue?", "What colour is this?", "Which color is that?", "What colour?",
    ),
    (
        "这是什么颜色？", "图片是什么颜色的？", "这张照片是什么颜色？", "什么颜色？", "请说出颜色。",
        "你看到什么颜色？",
        "告诉我这张图的颜色。", "这个颜色是什么？", "颜色是什么",
    ),
)  # fmt: skip
SEVERAL: Wordings = (
    ("What colours are these?", "What colours are the pictures?", "Which colors do you see?", "Name the colours."),
    ("这些是什么颜色？", "这些图片是什么颜色的？", "你看到哪些颜色？", "分别是什么颜色？"),
)
AGAIN: Wordings = (
    (
        "What colour was it?", "What color was it again?", "And what colour was the photo?", "Which colour was that?",
        "What was the colour of the picture?", "Say the color again.", "What colour was the last photo?",
        "what color was it", "Tell me the colour once more.", "And the colour?",
    ),
    (
        "刚才那张是什么颜色？", "它是什么颜色？", "再说一遍颜色。", "那张图片是什么颜色的？", "刚才是什么颜色？",
        "照片是什么颜色来着？", "那是什么颜色？",
    ),
)  # fmt: skip
COLOUR: Wordings = (
    (
        "What colour is the {shape}?", "What color is the {shape}?", "Which colour does the {shape} have?",
        "Tell me the colour of the {shape}.", "Name the colour of the {shape}.", "the colour of the {shape}?",
        "Can you tell me what color the {shape} is?", "What is the colour of the {shape}?",
    ),
    (
        "{shape}是什么颜色？", "{shape}是什么颜色的？", "这个{shape}是什么颜色？", "请说出{shape}的颜色。",
        "{shape}的颜色是什么？",
        "告诉我{shape}的颜色。",
    ),
)  # fmt: skip
SHAPE: Wordings = (
    (
        "What shape is this?", "Which shape do you see?", "What shape is it?", "Name the shape.",
        "What is the shape?",
        "What kind of shape is in the picture?", "Tell me the shape.", "Which shape is in the photo?",
    ),
    (
        "这是什么形状？", "图里是什么形状？", "什么形状？", "请说出形状。", "你看到什么形状？", "这个形状是什么？",
        "图片里是哪种形状？",
    ),
)  # fmt: skip
OF_COLOUR: Wordings = (
    (
        "Which shape is {colour}?",
        "What shape is {colour}?",
        "Name the {colour} shape.",
        "What is the {colour} thing?",
    ),
    ("哪个形状是{colour}的？", "{colour}的是什么形状？", "{colour}的东西是什么？", "请说出{colour}的形状。"),
)
COUNT: Wordings = (
    (
        "How many {plural} are there?", "How many {plural} do you see?", "Count the {plural}.", "how many {plural}",
        "How many {plural} are in the picture?", "Can you count the {plural}?", "What is the number of {plural}?",
    ),
    (
        "有几个{shape}？", "图里有多少个{shape}？", "数一数{shape}。", "你看到几个{shape}？", "一共有几个{shape}？",
        "图片里有几个{shape}？",
    ),
)  # fmt: skip
WHERE: Wordings = (
    (
        "Where is the {shape}?",
        "In which part of the picture is the {shape}?",
        "Where do you see the {shape}?",
        "What is the position of the {shape}?",
        "Tell me where the {shape} is.",
        "where is the {shape}",
    ),
    (
        "{shape}在哪里？",
        "{shape}在图片的哪个位置？",
        "{shape}在什么地方？",
        "告诉我{shape}在哪儿。",
        "图里的{shape}在哪里？",
    ),
)
RELATION: Wordings = (
    (
        "Is the {shape} {side} the {other}?",
        "Do you see the {shape} {side} the {other}?",
        "Is {shape} {side} {other}?",
    ),
    ("{shape}在{other}的{side}吗？", "{shape}是不是在{other}的{side}？", "{shape}是在{other}{side}吗？"),
)
BOX: Wordings = (
    (
        "Locate the {shape}.", "Give the bounding box of the {shape}.", "Mark the {shape}.", "Find the {shape}.",
        "Locate the {shape} and give its box in JSON.", "Detect the {shape} and give its bounding box.",
        "Draw a box around the {shape}.", "Show me where the {shape} is with a box.",
    ),
    (
        "框出{shape}。", "给出{shape}的边界框。", "标出{shape}的位置。", "定位{shape}。",
        "找出{shape}，用JSON给出边界框。",
        "请框出{shape}。", "用方框标出{shape}。",
    ),
)  # fmt: skip
READ: Wordings = (
    (
        "What does it say?", "What does the sign say?", "Read the text in the photo.", "Read the text.", "Read this.",
        "What is written here?", "Which word is it?", "What text do you see?", "What is written in the picture?",
        "What number or word is this?", "Please read it to me.", "Can you read this?",
    ),
    (
        "上面写着什么？", "牌子上写着什么？", "读出照片里的文字。", "读一下文字。", "写的是什么？",
        "图里写着什么？", "请读出来。",
        "这上面写的是什么？", "图片上的文字是什么？",
    ),
)  # fmt: skip
BARS: Wordings = (
    ("How many bars are there?", "How many bars does the chart have?", "Count the bars."),
    ("有几根柱子？", "图表里有几根柱子？", "数一数柱子。"),
)
EXTREME: Wordings = (
    ("Which bar is the {most}?", "What is the {most} bar?", "Name the {most} bar.", "Which one is the {most}?"),
    ("哪根柱子{most}？", "{most}的柱子是哪根？", "哪一根{most}？"),
)
BAR_COLOUR: Wordings = (
    ("What colour is bar {name}?", "Which color does bar {name} have?", "What is the colour of bar {name}?"),
    ("柱子{name}是什么颜色？", "{name}是什么颜色的？", "{name}的颜色是什么？"),
)
BAR_VALUE: Wordings = (
    ("What is the value of {name}?", "How high is bar {name}?", "Which value does {name} have?"),
    ("{name}的值是多少？", "{name}是多少？", "柱子{name}有多高？"),
)
TICKED: Wordings = (
    (
        "Which boxes are ticked?", "What is ticked?", "Which boxes are checked?", "What is selected in the form?",
        "List the ticked boxes.", "Which options are chosen?",
    ),
    ("哪些方框被勾选了？", "勾选了什么？", "表格里选中了哪些？", "哪些选项被选中了？", "列出勾选的选项。"),
)  # fmt: skip
IS_TICKED: Wordings = (
    ("Is {name} ticked?", "Is {name} checked?", "Is the box {name} selected?", "Did they tick {name}?"),
    ("{name}勾选了吗？", "{name}被选中了吗？", "选了{name}吗？"),
)
BUTTONS: Wordings = (
    ("Which buttons are there?", "What buttons do you see?", "Name the buttons.", "What can I click?"),
    ("有哪些按钮？", "你看到哪些按钮？", "说出按钮的名字。", "可以点什么？"),
)
TITLE: Wordings = (
    ("What is the title of the window?", "What is the window's title?", "Which window is this?", "Read the title."),
    ("窗口的标题是什么？", "标题是什么？", "这是哪个窗口？", "读出标题。"),
)
CLICK: Wordings = (
    (
        "Where is the {name} button?", "Locate the {name} button.", "Find the button {name}.", "Click on {name}.",
        "Give the bounding box of the {name} button.", "Where do I click for {name}?",
    ),
    (
        "{name}按钮在哪里？", "框出{name}按钮。", "找到{name}按钮。", "点击{name}。", "给出{name}按钮的边界框。",
        "定位{name}按钮。",
    ),
)  # fmt: skip
WHICH: Wordings = (
    (
        "Which photo has the {shape}?",
        "Which picture shows a {shape}?",
        "In which photo is the {shape}?",
        "Is the {shape} in the first or in the second photo?",
        "Which one has the {shape}?",
    ),
    (
        "哪张照片里有{shape}？",
        "哪张图有{shape}？",
        "{shape}在哪张图片里？",
        "{shape}在第一张还是第二张？",
        "哪一张有{shape}？",
    ),
)
WHICH_COLOUR: Wordings = (
    ("Which photo is {colour}?", "Which picture is {colour}?", "Is the first or the second photo {colour}?"),
    ("哪张照片是{colour}的？", "哪张图是{colour}？", "第一张还是第二张是{colour}的？"),
)
NTH: Wordings = (
    ("What is in the {nth} photo?", "Describe the {nth} picture.", "What does the {nth} photo show?", "{nth} photo?"),
    ("{nth}照片里有什么？", "描述{nth}图片。", "{nth}图片里是什么？", "{nth}是什么？"),
)
MORE: Wordings = (
    ("Which photo has more shapes?", "Which picture shows more shapes?", "In which photo are more shapes?"),
    ("哪张照片里的形状更多？", "哪张图的形状多？", "哪一张有更多形状？"),
)
SAME: Wordings = (
    ("Do both photos have the same colour?", "Are the two photos the same colour?", "Is the colour the same?"),
    ("两张照片颜色一样吗？", "两张图是同一种颜色吗？", "颜色相同吗？"),
)
AND: Wordings = (
    ("And the {shape}?", "And what about the {shape}?", "What about the {shape}?"),
    ("那{shape}呢？", "{shape}呢？"),
)
AND_MANY: Wordings = (("And the {plural}?", "And how about the {plural}?", "What about the {plural}?"), AND[1])

GREET: Wordings = (
    ("Hello", "Hi", "Hey", "Hello!", "hi there", "Good morning", "Good evening!", "Hello, how are you?", "hey!",
     "Hi, are you there?", "hello bot", "/start"),
    ("你好", "您好", "你好！", "嗨", "早上好", "晚上好！", "你好吗？", "在吗？", "大家好"),
)  # fmt: skip
THANK: Wordings = (
    ("Thanks", "Thank you!", "thanks a lot", "Great, thank you.", "Thank you very much", "thx"),
    ("谢谢", "谢谢你！", "多谢", "非常感谢", "太好了，谢谢"),
)
NUMBERS: Wordings = (
    ("Count to {to}", "Please count to {to}.", "count from 1 to {to}", "Can you count to {to}?", "Count to {to}."),
    ("数到{to}", "请从一数到{to}。", "从1数到{to}", "请数到{to}"),
)
EN_NUMBERS = {5: "five", 10: "ten", 12: "twelve", 20: "twenty", 30: "thirty", 40: "forty", 50: "fifty", 60: "sixty",
              70: "seventy", 80: "eighty", 90: "ninety", 100: "one hundred"}  # fmt: skip
ZH_NUMBERS = {5: "五", 10: "十", 12: "十二", 20: "二十", 30: "三十", 40: "四十", 50: "五十", 60: "六十", 70: "七十",
              80: "八十", 90: "九十", 100: "一百"}  # fmt: skip
