"""The same model in two engines gives the same answers: the embedded one, and transformers, whose answers are recorded.

`parity.zip` holds 55 pictures, a question each and transformers' greedy answers. A new checkpoint needs a new one:
`.venv-demo/bin/python -m inference.demo.evaluate --record tests/inference/parity.zip`.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from inference.demo import evaluate
from inference.demo.asking import Turn
from inference.demo.engines import messages
from inference.demo.pictures import Picture
from tests.inference.test_embedded import client, running

RECORDED = Path(__file__).parent / "parity.zip"


async def test_its_answers_are_those_that_transformers_gave(tmp_path: Any):
    different: list[str] = []
    with zipfile.ZipFile(RECORDED) as recorded:
        cases: list[dict[str, str]] = json.loads(recorded.read("cases.json"))
        async with running(tmp_path) as address, client(address) as http:
            for case in cases:
                shown = Picture("", Image.open(io.BytesIO(recorded.read(case["photo"]))))
                asked = messages([Turn("", case["question"], "", False, [shown])])
                body = {"messages": asked, "temperature": 0, "min_p": 0, "max_tokens": 200}
                reply = (await http.post("/v1/chat/completions", json=body)).json()
                said = reply["choices"][0]["message"]["content"]
                # The digits of a box come close to ties, which the engines round apart: there the place counts.
                if evaluate.mark(said, case["answer"]) < 0.8:
                    different.append(f"{case['photo']} {case['question']!r}: {case['answer']!r}, here {said!r}")
    assert len(cases) == 55
    assert different == []
