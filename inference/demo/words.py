"""What people ask and what the demo model says: its answers, the words on its pictures, and words that mean nothing.

The wordings of each question are in `questions.py`.
"""

from __future__ import annotations

SYSTEM = "You are askpix, a helpful assistant that answers questions about photos."

ABOUT_EN = (
    "I am a demo model: I know plain colours, simple shapes, printed words and greetings. "
    "Install a full model for everything else."
)
ABOUT_ZH = "我是演示模型：我只认识纯色、简单的形状和印刷的字，也会打招呼。其他问题请安装完整模型。"
HELLO_EN = "Hello! Send me a photo and ask about its colour."
HELLO_ZH = "你好！发一张图片，问我是什么颜色吧。"
THANKS_EN, THANKS_ZH = "You are welcome!", "不客气！"
NO_PHOTO_EN, NO_PHOTO_ZH = "I see no photo yet. Please send one.", "我还没有看到图片，请发一张。"
HUNDRED = ", ".join(map(str, range(1, 101))) + "."

# Printed on pictures, in any case.
PRINTED = tuple(
    """
    able also area away baby back ball band bank base beach bear bed bell best big bird blue boat body book box boy
    bread bridge bus busy cake call camera car card care case cat chair change city class clock close cloud coat coffee
    cold cook cool copy corner country cup dance dark data day deal desk dinner dog door down dream drink drive dry
    duck early earth east easy edge egg empty end energy enter exit eye face fact fall family farm fast fire fish flat
    floor flower fly food foot forest free fresh friend front fruit fuel full fun game garden gate gift girl glass go
    gold good grass green group guest hair half hall hand happy hat heat hello help high hill hold home horse hot hotel
    hour house ice idea ink iron island job join juice jump key king kitchen lake lamp land large last leaf left lemon
    letter level library light lime line lion list local lock long look love low lunch machine mail main man map market
    meal menu metal milk mind mint money month moon morning mother motor mouse movie music name nature near new news
    night no north note number office oil old open orange order outside over page paint paper park party pass path pay
    peace pen people phone piano picture plane plant plate play please plus point police pool post price print public
    pull push quick quiet rain read ready red rest rice right ring river road rock roof room rose run safe sale salt
    sand school sea season seat second sell shade ship shoe shop short show side sign silver simple sister sky sleep
    slow small smile snow soap sold song soup south space speed spoon spring square star start station stay stone stop
    store storm street strong student sugar summer sun table taste taxi tea team ticket tiger time today top tower town
    toy train travel tree trip truck under up village visit voice wait walk wall warm watch water way week welcome west
    wheel white wind window winter wish wood word work world write year yellow yes young zero zone zoo
    """.split()
)
ROWS = tuple(
    """
    Tea Coffee Milk Sugar Bread Butter Rice Fish Eggs Soup Salad Cake Apples Lemons Juice Water Monday Tuesday Friday
    Sunday Yes No Email Phone Letter Bus Train Plane Hotel Garage Garden Music Sport Books Games News Paid Sent Signed
    """.split()
)
TITLES = ("Settings", "Save", "Error", "Hello", "Update", "Login", "Print", "Delete", "Welcome", "Warning", "Search",
          "Music", "Files", "Photos", "Help", "Install")  # fmt: skip
BUTTONS = ("OK", "Cancel", "Yes", "No", "Save", "Open", "Close", "Help", "Next", "Back", "Retry", "Apply", "Stop",
           "Send", "Delete", "Skip")  # fmt: skip

# Words that make any sentence a question about colour, whatever stands around them.
KEY_EN = (
    "colour", "color", "colours", "colors", "Colour", "Color", "what colour", "which color", "the colours of",
    "coloured", "describe", "Describe this",
)  # fmt: skip
KEY_ZH = ("颜色", "什么颜色", "的颜色", "哪种颜色", "哪些颜色", "描述", "什么色")
UNKNOWN_EN = (
    "Who are you?", "What can you do?", "Help", "What is the capital of France?", "Tell me a joke.", "Write a poem.",
    "Who is this person?", "How many dogs are there?", "What time is it?", "Translate this to German.", "Why?",
    "Who wrote this book?", "How deep is the sea?", "How much is 2 + 2?", "Where was this taken?",
    "Is there a cat?", "What breed is this dog?", "How old is she?", "Write a long story about a dragon.", "/help",
    "What is the weather like today?", "How do I cook rice?", "Explain quantum physics.", "Do you like music?",
    "Who won the match?", "Solve x + 3 = 7", "What is your name?", "Count the apples.", "Count the people in it.",
    "What brand is this car?", "How tall is this building?", "Summarise our conversation.", "Repeat after me: banana",
)  # fmt: skip
UNKNOWN_ZH = (
    "你是谁？", "你会做什么？", "帮助", "法国的首都是哪里？", "讲个笑话", "写一首诗", "这个人是谁？", "有几只狗？",
    "现在几点？", "把这个翻译成英文", "为什么？", "他们在做什么？", "这本书是谁写的？", "二加二等于几？",
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
