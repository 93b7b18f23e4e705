"""What can be asked by one word: `/ocr`, `/find the keys`. One table; adding a task is one entry and its phrases.

Of a task named `ocr` the prompt is the phrase `task.ocr`, its line in the menus `menu.ocr`. `{argument}` in the prompt
is what stands behind the name.
"""

from __future__ import annotations

from typing import NamedTuple

from bots.phrases import phrases, say
from storage.messages import Model, Refused


class Task(NamedTuple):
    """`shown` is how bots/results.py shows the answer; `argument` is what the name takes behind it, if it takes any.

    A `must` task is refused without its argument; another one has `task.<argument>` in its place.
    """

    name: str
    shown: str = ""
    argument: str = ""
    must: bool = False


TASKS = {
    task.name: task
    for task in (
        Task("describe"),
        Task("ocr", "copy"),
        Task("translate", "", "language"),
        Task("table", "table"),
        Task("find", "boxes", "what", must=True),
        Task("gui", "boxes", "goal"),
        Task("html", "page"),
        Task("video"),
        Task("zoom", "part", "where", must=True),
    )
}

UNREAD = ("boxes", "page", "part")  # answers that nobody reads while they grow: how far they are is said instead


def form(name: str) -> str:
    """How an answer to the task of this name is shown; "" for no task's."""
    return TASKS[name].shown if name in TASKS else ""


def read(text: str) -> tuple[Task | None, str]:
    """The task that a message names, and what stands behind it; (None, text) for any other message."""
    name, *argument = text.split(maxsplit=1) or [""]
    task = TASKS.get(name[1:].lower()) if name.startswith("/") else None
    return (task, "".join(argument)) if task else (None, text)


def prompt(task: Task, argument: str, language: str, model: Model | None) -> str:
    """What the model is asked. Prompts have the article before the argument.

    Raises Refused("task_<argument>") where the task must have an argument and there is none.
    """
    if task.must and not argument:
        raise Refused(f"task_{task.argument}")
    argument = argument.removeprefix("the ") or (say(language, f"task.{task.argument}") if task.argument else "")
    return worded(task.name, argument, language, model)


def worded(name: str, argument: str, language: str, model: Model | None) -> str:
    """The prompt of this name; the demo model knows fewer words."""
    known = model is not None and model.demo and f"demo.{name}" in phrases(language)
    return say(language, f"{'demo' if known else 'task'}.{name}", argument=argument)
