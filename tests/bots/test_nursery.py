"""Where readers' children are born: quickly, with typed arguments, again after a death, and gone with its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bots import confined as room
from bots.confined import confined
from bots.photos import has_several, prepare
from bots.pointing import Mark, draw, grid
from storage.messages import Refused
from storage.vision import CHAT_LIMITS
from tests.bots import readers
from tests.bots.pictures import SMALL, encoded, halves, shown
from tests.bots.test_photos_refused import png_header
from tests.waiting import wait_until

PICTURE = encoded(halves(640, 480))


def nurseries(parent: int) -> list[int]:
    """The living nurseries of a process."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parts = (process / "stat").read_text().rpartition(")")[2].split()
            if int(parts[1]) == parent and parts[0] != "Z" and b"bots.confined" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def test_a_photo_comes_out_as_it_does_without_a_child() -> None:
    prepared = await confined(prepare, PICTURE, SMALL)
    assert prepared == prepare(PICTURE, SMALL)
    shown(prepared)
    assert await confined(prepare, PICTURE, limits=CHAT_LIMITS) == prepare(PICTURE, CHAT_LIMITS)


async def test_marks_and_boxes_keep_their_types_on_the_way() -> None:
    marks = [Mark((10, 10, 400, 400), "one", next=True), Mark((500, 500, 500, 500), "two")]
    assert await confined(draw, PICTURE, marks) == draw(PICTURE, marks)
    assert await confined(grid, PICTURE) == grid(PICTURE)


async def test_a_bomb_is_refused_with_its_own_sentence_also_when_one_looks_for_frames() -> None:
    bomb = png_header(50_000, 50_000)
    assert await confined(has_several, bomb, "PNG") is False
    with pytest.raises(Refused) as refused:
        await confined(prepare, bomb, CHAT_LIMITS)
    assert (refused.value.code, refused.value.details) == ("too_many_pixels", {"limit": 34})


async def test_photos_do_not_wait_for_hanging_readers_of_others(tmp_path: Path) -> None:
    hanging = [asyncio.create_task(confined(readers.hang, b"x", str(tmp_path))) for _ in range(room.AT_ONCE + 1)]
    await wait_until(lambda: len(list(tmp_path.iterdir())) == 2 * room.AT_ONCE, 20)
    assert (await confined(prepare, PICTURE, SMALL)).photo
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_one_nursery_serves_a_process_and_another_takes_its_place_when_it_dies() -> None:
    before = set(nurseries(os.getpid()))
    await asyncio.gather(*(confined(readers.size, b"x") for _ in range(5)))
    (first,) = set(nurseries(os.getpid())) - before
    os.kill(first, signal.SIGKILL)
    await wait_until(lambda: first not in nurseries(os.getpid()))
    assert await confined(readers.size, b"xy") == readers.Size(2, "")
    (second,) = set(nurseries(os.getpid())) - before
    assert second != first


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_it_ends_with_the_process_that_needed_it_however_that_ends(how: signal.Signals) -> None:
    code = (
        "import asyncio\nfrom bots.confined import confined\nfrom tests.bots import readers\n"
        "async def main():\n    await confined(readers.size, b'x')\n    print('read', flush=True)\n"
        "    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert owner.stdout
    assert await owner.stdout.readline() == b"read\n"
    (nursery,) = nurseries(owner.pid)
    owner.send_signal(how)
    await owner.wait()
    await wait_until(lambda: not Path(f"/proc/{nursery}").exists() or "Z" in Path(f"/proc/{nursery}/stat").read_text())
