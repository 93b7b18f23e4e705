"""The same conversation asked of either engine: one that speaks HTTP, or transformers in this process."""
# The training environment alone has torch and transformers, and their types are partial.
# pyright: basic, reportMissingImports=false, reportMissingModuleSource=false

from __future__ import annotations

import base64
import io
import json
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from inference.demo import words
from inference.demo.asking import Turn

LONGEST = 600  # tokens of an answer


class Engine(Protocol):
    """Answers the last turn of a conversation greedily; the answers of the turns before it are given."""

    def answer(self, turns: Sequence[Turn]) -> str:
        """The whole answer."""
        ...


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """OpenAI's chat messages, up to the last question."""
    found: list[dict[str, Any]] = [{"role": "system", "content": words.SYSTEM}]
    for at, turn in enumerate(turns):
        parts: list[dict[str, Any]] = [_photo(photo.image) for photo in turn.photos]
        if turn.question:
            parts.append({"type": "text", "text": turn.question})
        found.append({"role": "user", "content": parts if turn.photos else turn.question})
        if at < len(turns) - 1:
            found.append({"role": "assistant", "content": turn.answer})
    return found


def _photo(image: Image.Image) -> dict[str, Any]:
    packed = io.BytesIO()
    image.save(packed, "PNG")
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(packed.getvalue()).decode()}"},
    }


class Http:
    """Any OpenAI-compatible engine; `file` is the `engine.json` that `askpix engine` writes."""

    def __init__(self, file: Path) -> None:
        address = json.loads(file.read_text())
        self._url, self._key = address["url"], address["key"]

    def _open(self, turns: Sequence[Turn], stream: bool) -> Any:
        body = {"messages": messages(turns), "temperature": 0, "min_p": 0, "max_tokens": LONGEST, "stream": stream}
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310 : the address comes from our own file
            f"{self._url}/v1/chat/completions", json.dumps(body).encode(), headers
        )
        return urllib.request.urlopen(request, timeout=120)  # noqa: S310 : see above

    def answer(self, turns: Sequence[Turn]) -> str:
        """The whole answer."""
        with self._open(turns, stream=False) as reply:
            return json.load(reply)["choices"][0]["message"]["content"]

    def pace(self, turns: Sequence[Turn]) -> tuple[float, float]:
        """Seconds to the first token, and tokens a second after it."""
        began = time.perf_counter()
        with self._open(turns, stream=True) as reply:
            events = (json.loads(line[6:]) for line in reply if line.startswith(b"data: {"))
            times = [time.perf_counter() for event in events if event["choices"][0]["delta"].get("content")]
        return times[0] - began, (len(times) - 1) / max(1e-9, times[-1] - times[0])


class Transformers:
    """The checkpoint in its own library, in float32."""

    def __init__(self, folder: Path) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import Qwen3VLForConditionalGeneration

        from inference.demo import layout

        self._torch = torch
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._layout = layout.Layout(self._tokenizer)
        self._model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self._image = self._model.config.image_token_id

    def answer(self, turns: Sequence[Turn]) -> str:
        """The whole answer."""
        import numpy as np

        from inference.demo import lessons, network

        torch = self._torch
        ids, _, _, answers = self._layout.lay_out(lessons.Lesson(list(turns)))
        prompt = torch.tensor([ids[: answers[-1][0]]])
        seen = [torch.from_numpy(np.array(photo.image)) for turn in turns for photo in turn.photos]
        shown: dict[str, Any] = {"mm_token_type_ids": (prompt == self._image).int()}
        if seen:
            shown["pixel_values"] = torch.cat([network.double(network.patches(photo[None]))[0] for photo in seen])
            shown["image_grid_thw"] = torch.tensor([[1, photo.shape[0] // 16, photo.shape[1] // 16] for photo in seen])
        with torch.inference_mode():
            made = self._model.generate(input_ids=prompt, max_new_tokens=LONGEST, do_sample=False, **shown)
        return self._tokenizer.decode(made[0, prompt.shape[1] :].tolist())
