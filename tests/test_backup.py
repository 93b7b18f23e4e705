"""`askpix backup` and `askpix restore`, as somebody who moves to another machine gives them."""

from __future__ import annotations

from pathlib import Path

from bots.phrases import say
from tests.service import askpix_up
from tests.test_terminal import run


async def test_a_conversation_moves_to_another_folder_while_the_service_runs(tmp_path: Path) -> None:
    file = str(tmp_path / "backup")
    old, new = tmp_path / "old", tmp_path / "new"
    async with askpix_up(old, WEB="0"):
        assert (await run(old, "ask", "What is this?"))[0] == 0
        status, out, err = await run(old, "backup", file)
        assert (status, err) == (0, "")
        number = int(out.split()[0])
        assert out.strip() == say("en", "cli.backed_up", n=number, path=file)
        assert await run(old, "restore", file) == (1, "", say("en", "restore_not_empty") + "\n")
    status, out, err = await run(new, "restore", file)
    assert (status, err) == (0, "")
    assert int(out.split()[0]) <= number  # what lives for seconds has expired
    assert await run(new, "restore", file) == (1, "", say("en", "restore_not_empty") + "\n")
    assert (await run(new, "ask", "--continue", "And what did I ask?"))[0] == 0


async def test_what_cannot_be_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no backup")
    for words, sentence in (
        (("restore", str(tmp_path / "file")), say("en", "restore_damaged")),
        (("restore", str(tmp_path / "none")), say("en", "restore_damaged")),
        (("backup", str(tmp_path / "no" / "file")), say("en", "backup_unwritable", reason="No such file or directory")),
    ):
        assert await run(tmp_path / "data", *words) == (1, "", sentence + "\n")
