"""The same model, the same answers: SGLang beside transformers, whose answers were recorded."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile

import pytest
from PIL import Image

from inference import engine as module
from inference.demo import evaluate
from inference.demo.asking import Turn
from inference.demo.engines import messages
from inference.demo.pictures import Picture
from inference.engine import Engine
from tests.inference.test_parity import RECORDED
from tests.sglang.server import SLOTS
from tests.sglang.test_sglang_engine import told

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("demo")]


async def test_its_answers_are_those_that_transformers_gave(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(module.SAMPLING, "temperature", 0)
    different: list[str] = []
    slots = asyncio.Semaphore(SLOTS)
    with zipfile.ZipFile(RECORDED) as recorded:
        cases: list[dict[str, str]] = json.loads(recorded.read("cases.json"))
        shown = {case["photo"]: Image.open(io.BytesIO(recorded.read(case["photo"]))) for case in cases}

    async def compare(case: dict[str, str]) -> None:
        async with slots:
            sent = messages([Turn("", case["question"], "", False, [Picture("", shown[case["photo"]])])])
            said, _ = await told(engine, sent, tokens=200)
        # The digits of a box come close to ties, which the engines round apart: there the place counts.
        if evaluate.mark(said, case["answer"]) < 0.8:
            different.append(f"{case['photo']} {case['question']!r}: {case['answer']!r}, here {said!r}")

    await asyncio.gather(*(compare(case) for case in cases))
    assert len(cases) >= 50
    assert different == []
