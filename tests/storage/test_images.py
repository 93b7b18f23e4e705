"""The photo store: its cap, who goes first, who never sees whose photos, and what is left behind (nothing)."""

from __future__ import annotations

import hashlib

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from storage import keys
from storage.connection import Client, Scripts
from storage.images import Images
from storage.messages import Photo, Refused
from storage.queue import Queue
from storage.stores import open_stores
from tests.storage.asks import make_ask
from tests.waiting import wait_until

ANN, BOB = "telegram:1", "telegram:12"
CAP = 1_000


@pytest_asyncio.fixture
async def images(redis: Client) -> Images:
    return Images(Scripts(redis), CAP, keys.PHOTO_TTL)


def a_photo(name: str, size: int = 400) -> tuple[Photo, bytes]:
    data = name.encode().ljust(size, b".")
    return Photo(hashlib.sha256(data).hexdigest(), "image/jpeg", 256, 256, size), data


async def put(images: Images, person: str, name: str, size: int = 400) -> str:
    photo, data = a_photo(name, size)
    await images.put(person, photo, data)
    return photo.sha256


async def use(redis: Client, person: str, sha256: str, by: int = 1) -> None:
    """What the queue's scripts do when an ask is enqueued or closed."""
    await redis.hincrby(keys.PHOTO_USES, f"{person}|{sha256}", by)


async def is_kept(redis: Client, person: str, sha256: str) -> bool:
    """Without using it."""
    return bool(await redis.exists(keys.photo(person, sha256)))


async def kept(images: Images, person: str, *sha256s: str) -> list[bool]:
    return [data is not None for data in await images.get(person, sha256s)]


async def a_later_ms(redis: Client) -> bool:
    """Whether the server's clock (ms) has passed the last use of every photo."""
    seconds, micros = await redis.time()
    newest = await redis.zrange(keys.PHOTO_INDEX, -1, -1, withscores=True)
    return bool(seconds * 1000 + micros // 1000 > newest[0][1])


async def check_books(redis: Client) -> int:
    """The index, the sizes and the photos tell the same; returns their bytes together."""
    photos = [key.decode().removeprefix(keys.PREFIX + "img:") async for key in redis.scan_iter(keys.photo("*", "*"))]
    sizes = {field.decode(): int(size) for field, size in (await redis.hgetall(keys.PHOTO_SIZES)).items()}
    total = sizes.pop("total", 0)
    assert sorted(photos) == sorted(sizes) == sorted(m.decode() for m in await redis.zrange(keys.PHOTO_INDEX, 0, -1))
    assert total == sum(sizes.values())
    for member, size in sizes.items():
        assert await redis.strlen(keys.photo(*member.split("|"))) == size
    return total


async def test_a_photo_is_refused_when_all_others_are_in_use_and_nothing_is_lost(redis: Client, images: Images) -> None:
    first, second = await put(images, ANN, "first"), await put(images, BOB, "second")
    idle = await put(images, ANN, "idle", 100)
    await use(redis, ANN, first)
    await use(redis, BOB, second)
    with pytest.raises(Refused, match="photo_store_full"):
        await put(images, ANN, "third")
    assert await kept(images, ANN, first, idle) == [True, True]
    assert await kept(images, BOB, second) == [True]
    assert await check_books(redis) == 900


async def test_a_photo_larger_than_the_cap_is_refused_and_nothing_is_lost(redis: Client, images: Images) -> None:
    first = await put(images, ANN, "first")
    with pytest.raises(Refused, match="photo_store_full"):
        await put(images, ANN, "huge", CAP + 1)
    assert await kept(images, ANN, first) == [True]
    assert await check_books(redis) == 400


async def test_the_photo_used_least_lately_goes_first(redis: Client, images: Images) -> None:
    first, second = await put(images, ANN, "first"), await put(images, ANN, "second")
    await wait_until(lambda: a_later_ms(redis))
    assert await kept(images, ANN, first) == [True]  # a use
    third = await put(images, BOB, "third")
    assert await kept(images, ANN, first, second) == [True, False]
    assert await kept(images, BOB, third) == [True]
    assert await check_books(redis) == 800


async def test_a_photo_in_use_stays_until_its_last_ask_is_closed(redis: Client, images: Images) -> None:
    first, second = await put(images, ANN, "first"), await put(images, ANN, "second")
    await use(redis, ANN, first, 2)
    await use(redis, ANN, first, -1)
    await wait_until(lambda: a_later_ms(redis))
    third = await put(images, ANN, "third")
    assert [await is_kept(redis, ANN, photo) for photo in (first, second, third)] == [True, False, True]
    await use(redis, ANN, first, -1)
    fourth = await put(images, ANN, "fourth", 600)
    assert [await is_kept(redis, ANN, photo) for photo in (first, third, fourth)] == [False, True, True]
    await check_books(redis)


async def test_many_in_use_are_passed_over(redis: Client, images: Images) -> None:
    for i in range(230):
        await use(redis, ANN, await put(images, ANN, f"{i:03}", 4))
    idle = await put(images, ANN, "idle", 80)
    late = await put(images, ANN, "late", 80)
    assert await kept(images, ANN, idle, late) == [False, True]
    assert await check_books(redis) == 1_000


async def test_the_same_photo_twice_counts_once_and_lives_its_whole_time_again(redis: Client, images: Images) -> None:
    sha256 = await put(images, ANN, "photo", 600)
    await redis.expire(keys.photo(ANN, sha256), 5)
    assert await put(images, ANN, "photo", 600) == sha256
    assert await redis.ttl(keys.photo(ANN, sha256)) > 5
    assert await check_books(redis) == 600


async def test_nobody_gets_anothers_photo(images: Images) -> None:
    sha256 = await put(images, ANN, "photo")
    assert await images.get(BOB, [sha256]) == [None]


async def test_photos_come_in_the_order_asked_for(images: Images) -> None:
    first, second = await put(images, ANN, "first"), await put(images, ANN, "second")
    found = await images.get(ANN, [second, "0" * 64, first])
    assert found == [a_photo("second")[1], None, a_photo("first")[1]]
    assert await images.get(ANN, []) == []


async def test_any_bytes_come_back_as_they_were(images: Images) -> None:
    data = bytes(range(256))
    await images.put(ANN, Photo("ab" * 32, "image/png", 32, 32, 256), data)
    assert await images.get(ANN, ["ab" * 32]) == [data]


async def test_forgetting_takes_all_of_one_person_in_use_or_not(redis: Client, images: Images) -> None:
    """Bob's name begins with Ann's."""
    first, his = await put(images, ANN, "first"), await put(images, BOB, "his")
    await use(redis, ANN, first)
    await images.forget(ANN)
    assert await kept(images, ANN, first) == [False]
    assert await kept(images, BOB, his) == [True]
    assert await check_books(redis) == 400
    # The ask that waited is still counted: its end takes the count back, not below nothing.
    assert int(await redis.hget(keys.PHOTO_USES, f"{ANN}|{first}")) == 1


async def test_after_forgetting_no_key_or_field_names_the_person(redis: Client, images: Images) -> None:
    await put(images, ANN, "first")
    await put(images, ANN, "second")
    await images.forget(ANN)
    assert sorted(await redis.keys("*")) == [keys.COUNTS.encode(), keys.PHOTO_SIZES.encode()]
    assert await redis.hkeys(keys.COUNTS) == [b"photo_ttl"]
    assert await redis.hgetall(keys.PHOTO_SIZES) == {b"total": b"0"}


async def test_expired_photos_no_longer_count_once_they_are_swept(redis: Client, images: Images) -> None:
    gone, stays = await put(images, ANN, "gone"), await put(images, ANN, "stays")
    await use(redis, ANN, gone)
    await redis.pexpire(keys.photo(ANN, gone), 1)

    async def expired() -> bool:
        return not await is_kept(redis, ANN, gone)

    await wait_until(expired)
    with pytest.raises(Refused):
        await put(images, ANN, "large", 900)
    await images.sweep()
    assert await kept(images, ANN, gone, stays) == [False, True]
    assert await check_books(redis) == 400
    await put(images, ANN, "large", 600)


async def test_a_photo_that_an_ask_waits_for_does_not_expire_and_begins_anew_when_it_is_closed(
    redis: Client, images: Images
) -> None:
    """However long an engine is down."""
    queue = Queue(redis, Scripts(redis))
    photo, data = a_photo("photo")
    for id in ("a", "b"):
        await images.put(ANN, photo, data)
        await queue.enqueue(make_ask(id, ANN, photos=(photo,)))
    await images.put(ANN, photo, data)
    for id in ("a", "b"):
        assert await redis.ttl(keys.photo(ANN, photo.sha256)) == -1
        await queue.cancel(ANN, id=id)
    assert 0 < await redis.ttl(keys.photo(ANN, photo.sha256)) <= keys.PHOTO_TTL
    assert not await redis.exists(keys.PHOTO_USES)


async def test_photos_live_as_long_as_the_setting_says_also_after_an_ask(redis: Client, server_url: str) -> None:
    async with open_stores(server_url, photo_ttl=3 * keys.DAY) as stores:
        photo, data = a_photo("photo")
        await stores.images.put(ANN, photo, data)
        lives = [await redis.ttl(keys.photo(ANN, photo.sha256))]
        await stores.queue.enqueue(make_ask("a", ANN, photos=(photo,)))
        await stores.queue.cancel(ANN, id="a")
        lives.append(await redis.ttl(keys.photo(ANN, photo.sha256)))
    assert all(3 * keys.DAY - 60 < life <= 3 * keys.DAY for life in lives)


async def test_a_clock_that_is_set_back_drops_no_new_photo_before_an_old_one(redis: Client, images: Images) -> None:
    old = await put(images, ANN, "old")
    await redis.zincrby(keys.PHOTO_INDEX, 86_400_000, f"{ANN}|{old}")  # it came when the clock was a day ahead
    new = await put(images, ANN, "new")
    newest = await put(images, BOB, "newest")
    assert await kept(images, ANN, old, new) == [False, True]
    assert await kept(images, BOB, newest) == [True]


ACTIONS = st.tuples(
    st.sampled_from(("put", "put", "get", "use", "close", "forget", "sweep")),
    st.sampled_from((ANN, BOB)),
    st.integers(0, 5),
)


async def act(redis: Client, images: Images, using: dict[tuple[str, str], int], what: str, who: str, n: int) -> None:
    photo, data = a_photo(f"photo{n}", 150 + 60 * n)
    mine = (who, photo.sha256)
    match what:
        case "put":
            try:
                await images.put(who, photo, data)
            except Refused:
                assert sum(using.values()) > 0
        case "get":
            assert await images.get(who, [photo.sha256]) in ([data], [None])
        case "use" if await is_kept(redis, *mine):
            using[mine] = using.get(mine, 0) + 1
            await use(redis, *mine)
        case "close" if using.get(mine):
            using[mine] -= 1
            await use(redis, *mine, -1)
        case "forget":
            await images.forget(who)
            for owned in [owned for owned in using if owned[0] == who]:
                await use(redis, *owned, -using.pop(owned))
        case _:
            await images.sweep()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=1, max_size=40))
async def test_the_books_balance_under_the_cap_whatever_is_done(
    redis: Client, images: Images, actions: list[tuple[str, str, int]]
) -> None:
    """And nothing in use is ever dropped, but by its own person's wish."""
    await redis.flushall()
    using: dict[tuple[str, str], int] = {}
    for action in actions:
        await act(redis, images, using, *action)
        assert await check_books(redis) <= CAP
        for owned, count in using.items():
            assert count == 0 or await is_kept(redis, *owned)


async def test_originals_live_a_day_under_the_same_cap_and_cost_nobody_a_photo(redis: Client, images: Images) -> None:
    first, second = (structs.replace(a_photo(name)[0], full=(9, 9)) for name in ("first", "second"))
    await images.put(ANN, first, a_photo("first", 300)[1])
    await images.put_original(ANN, first, b"o" * 500)
    assert await images.original(ANN, first) == b"o" * 500
    assert await images.original(BOB, first) is None
    assert 0 < await redis.ttl(keys.photo(ANN, f"{first.sha256}.full")) <= keys.DAY
    assert await kept(images, ANN, first.sha256) == [True]
    await images.put(BOB, second, a_photo("second", 300)[1])
    assert await images.original(ANN, first) is None, "it was used longer ago than its photo"
    await images.put_original(BOB, second, b"p" * 401)
    assert await images.original(BOB, second) is None, "there is room for photos only"
    assert await kept(images, ANN, first.sha256) + await kept(images, BOB, second.sha256) == [True, True]
    await images.put_original(BOB, second, b"p" * 400)
    await images.put_original(ANN, first, b"o" * 400)
    assert await images.original(BOB, second) is None, "the newer one takes the room of the older"
    assert await check_books(redis) == CAP
    await images.forget(ANN)
    assert await images.original(ANN, first) is None
