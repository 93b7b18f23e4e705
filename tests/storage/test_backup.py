"""What is kept, in one file and back: on another server, whole or not at all."""

from __future__ import annotations

import gzip
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError

from storage import backup, keys
from storage.backup import Kept, load, save
from storage.connection import Client, connect
from storage.embedded import Store
from storage.limits import Rules
from storage.messages import Address, Ask, Done, Photo, Quote, Refused, Turn, View, decode
from storage.stores import Stores, open_stores
from tests.storage.test_keys import claimed, live, shown

OLD = Path(__file__).with_name("layout-3c0687d.gz")  # as a server held it that ran commit 3c0687d


@pytest_asyncio.fixture
async def other(tmp_path: Path) -> AsyncIterator[Stores]:
    """A second store, empty."""
    async with Store(tmp_path / "other") as url, open_stores(url) as stores:
        yield stores


async def everything(redis: Client, folder: Path) -> dict[bytes, tuple[list[list[bytes]], int]]:
    """All keys with what they hold and when they end, to the second."""
    await save(redis, folder / "now")
    _, *lines, _, _ = gzip.decompress((folder / "now").read_bytes()).split(b"\n")
    found = [decode(line, Kept) for line in lines]
    ordered = ("list", "zset", "stream")
    return {
        each.key: (each.items if each.kind in ordered else sorted(each.items), round(each.until / 1000))
        for each in found
    }


async def filled(stores: Stores) -> None:
    """A store in which something of every kind is."""
    await stores.replies.open_outbox("discord")
    await live(stores, "telegram:1:1", "telegram:1")
    for number in range(3):
        await stores.queue.enqueue(ask(number))
    await claimed(stores)
    await stores.inbox("telegram").put("9", b"\xff\0 raw")
    await stores.inbox("telegram").put("10", b"raw too")
    (_,) = await stores.inbox("telegram").read(1, 0.01)  # read, and not acknowledged


def ask(number: int) -> Ask:
    where, turn = Address("discord", "1", str(number)), Turn("user", f"question {number}")
    return Ask(f"discord:1:{number}", "discord:5", "discord:1:5", "discord:5", "discord", where, turn)


async def test_what_was_saved_is_back_with_its_ends_on_another_server(
    stores: Stores, other: Stores, tmp_path: Path
) -> None:
    await filled(stores)
    number = await save(stores.redis, tmp_path / "file")
    assert await load(other.redis, tmp_path / "file") == number
    before, after = await everything(stores.redis, tmp_path), await everything(other.redis, tmp_path)
    assert after.keys() == before.keys()
    for name, (items, until) in before.items():
        assert after[name][0] == items, name
        assert abs(after[name][1] - until) < 3, name


async def test_the_service_goes_on_where_it_was(stores: Stores, other: Stores, tmp_path: Path) -> None:
    await filled(stores)
    await save(stores.redis, tmp_path / "file")
    await load(other.redis, tmp_path / "file")
    assert other.queue.lease  # what ran when it was saved is given back by its worker's next life
    assert await other.queue.reset("w1") == 1
    for number in range(3):
        claim = await claimed(other)
        assert claim.ask.question.text == f"question {number}"
        assert await other.queue.finish(claim, Done("x"), [claim.ask.question, Turn("assistant", "x")])
        await other.replies.open_outbox("discord")
        await shown(other, "discord")
    inbox = other.inbox("telegram")
    await inbox.open()
    assert [entry.raw for entry in await inbox.read()] == [b"\xff\0 raw", b"raw too"]
    assert await other.images.get("telegram:1", ["shatelegram:1:1"]) == [b"0123456789"]
    assert await other.limits(Rules()).is_admin("telegram:1")
    assert await other.people.of("telegram:1") == "discord:1"


async def test_it_is_its_owner_s_alone_and_takes_the_place_of_a_former_one_at_once(
    stores: Stores, tmp_path: Path
) -> None:
    (file := tmp_path / "file").write_bytes(b"former")
    file.chmod(0o644)
    await live(stores, "a", "telegram:1")
    await save(stores.redis, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


async def test_a_save_that_fails_leaves_the_former_file_and_no_other_and_lets_the_store_write(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file := tmp_path / "file").write_bytes(b"former")
    await live(stores, "a", "telegram:1")

    async def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_kept", full)
    with pytest.raises(Refused) as refused:
        await save(stores.redis, file)
    assert (refused.value.code, refused.value.details) == ("backup_unwritable", {"reason": "No space left on device"})
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert file.read_bytes() == b"former"
    await stores.redis.set(keys.SECRET, b"x")  # would wait for a pause


async def test_who_may_not_pause_the_server_is_told(stores: Stores, tmp_path: Path) -> None:
    await stores.redis.execute_command("ACL", "SETUSER", "meek", "on", ">pw", "~*", "+@all", "-client|pause")
    pool = stores.redis.connection_pool.connection_kwargs
    meek = connect(f"unix://meek:pw@{pool['path']}")
    with pytest.raises(NoPermissionError):
        await meek.client_pause(1)
    with pytest.raises(Refused, match="backup_forbidden"):
        await save(meek, tmp_path / "file")
    await meek.aclose()
    await stores.redis.execute_command("ACL", "DELUSER", "meek")
    assert not list(tmp_path.iterdir())


async def test_nothing_is_put_into_a_store_that_holds_something(stores: Stores, tmp_path: Path) -> None:
    await live(stores, "a", "telegram:1")
    await save(stores.redis, tmp_path / "file")
    before = {name: items for name, (items, _) in (await everything(stores.redis, tmp_path)).items()}
    with pytest.raises(Refused, match="restore_not_empty"):
        await load(stores.redis, tmp_path / "file")
    assert {name: items for name, (items, _) in (await everything(stores.redis, tmp_path)).items()} == before


@pytest.mark.parametrize("how", ["cut", "changed", "line", "newer", "empty", "other", "none"])
async def test_of_a_damaged_file_nothing_is_restored(redis: Client, tmp_path: Path, how: str) -> None:
    whole, file = OLD.read_bytes(), tmp_path / "file"
    lines = gzip.decompress(whole).split(b"\n")
    match how:
        case "cut":
            file.write_bytes(whole[:-20])
        case "changed":
            file.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"e2Fza3BpeH06YWN0", b"e2Fza3BpeH06YWN1")))
        case "line":
            file.write_bytes(gzip.compress(b"\n".join(lines[:5] + lines[6:])))
        case "newer":
            file.write_bytes(gzip.compress(b"\n".join([b'{"askpix":2,"version":"9","at":0}', *lines[1:]])))
        case "empty":
            file.write_bytes(b"")
        case "other":
            file.write_bytes(b"PK\x03\x04")
        case _:
            pass
    with pytest.raises(Refused, match="restore_damaged"):
        await load(redis, file)
    assert not await redis.keys("*")


async def test_what_has_expired_since_is_left_out(
    stores: Stores, other: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live(stores, "a", "telegram:1")
    number = await save(stores.redis, tmp_path / "file")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 40 * keys.DAY)
    assert 0 < await load(other.redis, tmp_path / "file") < number
    assert not await other.redis.keys("*h:*") and await other.redis.exists(keys.ADMINS)


def test_a_key_is_one_line_that_anybody_can_read() -> None:
    head, line, *_ = gzip.decompress(OLD.read_bytes()).split(b"\n")
    assert head.startswith(b'{"askpix":1,"version":"0.1.0"')
    assert decode(line, Kept) == Kept(b"{askpix}:act", "hash", [[b"telegram:1", b"telegram:1:2"]])


async def test_what_a_former_version_kept_is_read(stores: Stores) -> None:
    """Asks without task and notes, photos without lead and full, turns without document, a worker's ask in work."""
    await stores.redis.flushall()
    await load(stores.redis, OLD)
    photo = Photo("ab" * 32, "image/png", 32, 32, 10, 5, "src", "a caption")
    assert await stores.images.get("telegram:1", [photo.sha256]) == [b"0123456789"]
    question, answer = await stores.history.read("telegram:1:1", 0)
    assert question == Turn("user", "what is it?", (photo,), Quote("quoted"), ask="telegram:1:1")
    assert answer.text == "A square."
    assert await stores.history.view("telegram:1:1") == View(1, 1, 10, 100)
    assert await stores.replies.ask_of("telegram", "1", "100") == "telegram:1:1"
    limits = stores.limits(Rules())
    assert await limits.is_admin("telegram:9")
    assert await limits.former("telegram:chat:-1005") == "telegram:chat:-5"
    assert await stores.people.of("discord:2") == "telegram:1"
    await stores.replies.open_outbox("telegram")
    (finished,) = await stores.replies.finished("telegram", wait=0.01)
    assert finished.event == Done("A square.", False, 1.0, 3)
    assert await stores.queue.reset("w") == 1
    for text in ("and its colour?", "third"):
        claim = await claimed(stores)
        assert (claim.ask.question.text, claim.ask.task, claim.ask.notes) == (text, "", ())
        assert await stores.queue.finish(claim, Done("x"), [claim.ask.question])
    await stores.inbox("telegram").open()
    (entry,) = await stores.inbox("telegram").read()
    assert entry.raw == b'{"update_id":77}'
