"""Who may ask, how often, and how the first admin is made."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from storage import keys
from storage.connection import Client
from storage.limits import Limits, Rules
from storage.messages import Refused

ANN, BOB, CHAT = "telegram:1", "telegram:2", "telegram:chat:-100"


def rules(*, allow: str = "", deny: str = "", admins: str = "", open: bool = False) -> Rules:
    return Rules(frozenset(allow.split()), frozenset(deny.split()), frozenset(admins.split()), open)


@pytest.mark.parametrize(
    ("given", "admitted"),
    [
        (rules(), False),
        (rules(allow=BOB), False),
        (rules(allow="telegram:11 discord:1 telegram:chat:1"), False),
        (rules(allow=ANN), True),
        (rules(allow=CHAT), True),
        (rules(admins=ANN), True),
        (rules(open=True), True),
        (rules(open=True, allow=ANN, admins=ANN, deny=ANN), False),
        (rules(open=True, allow=ANN, deny=CHAT), False),
        (rules(open=True, deny=BOB), True),
    ],
)
async def test_deny_wins_then_a_person_or_a_chat_admits(redis: Client, given: Rules, *, admitted: bool) -> None:
    assert await Limits(redis, given).admits(ANN, CHAT) is admitted


@pytest.mark.parametrize("name", [CHAT, "telegram:chat:-1"])
async def test_a_chat_that_moved_is_known_by_both_of_its_ids(redis: Client, name: str) -> None:
    former = "telegram:chat:-1"
    await Limits(redis, rules()).move(former, CHAT)
    assert await Limits(redis, rules(allow=name)).admits(ANN, CHAT)
    assert not await Limits(redis, rules(deny=name, open=True)).admits(ANN, CHAT)
    assert await Limits(redis, rules(deny=CHAT, open=True)).admits(ANN, former), "nobody writes there any more"
    assert [await Limits(redis, rules()).former(chat) for chat in (CHAT, former)] == [former, former]


@pytest.mark.parametrize(
    ("given", "admitted"),
    [
        (rules(), False),
        (rules(allow="discord:chat:1"), True),  # the channel
        (rules(allow="discord:chat:2"), True),  # its server
        (rules(allow="discord:chat:3"), False),
        (rules(allow="discord:chat:2", deny="discord:chat:1"), False),
        (rules(allow="discord:chat:1", deny="discord:chat:2"), False),
        (rules(open=True, deny="discord:chat:2"), False),
        (rules(open=True, deny="discord:chat:3"), True),
    ],
)
async def test_a_chat_admits_and_denies_like_what_it_is_a_part_of(
    redis: Client, given: Rules, *, admitted: bool
) -> None:
    assert await Limits(redis, given).admits("discord:7", "discord:chat:1", "discord:chat:2") is admitted


async def test_a_code_makes_one_admin_once(redis: Client) -> None:
    limits = Limits(redis, rules())
    assert not await limits.has_admin()
    code = await limits.offer_admin()
    assert not await limits.redeem("wrong", ANN)
    assert not await limits.redeem(f"{code}x", ANN)
    assert await limits.redeem(code, ANN)
    assert not await limits.redeem(code, BOB)
    assert await limits.has_admin()
    assert await limits.is_admin(ANN)
    assert await limits.admits(ANN, CHAT)
    assert not await limits.is_admin(BOB)


async def test_of_many_who_send_the_code_at_the_same_moment_one_becomes_admin(redis: Client) -> None:
    limits = Limits(redis, rules())
    code = await limits.offer_admin()
    assert sum(await asyncio.gather(*(limits.redeem(code, f"telegram:{n}") for n in range(8)))) == 1
    assert await redis.scard(keys.ADMINS) == 1


async def test_a_denied_person_cannot_use_up_a_code(redis: Client) -> None:
    limits = Limits(redis, rules(deny=BOB))
    code = await limits.offer_admin()
    assert not await limits.redeem(code, BOB)
    assert await limits.redeem(code, ANN)


async def test_a_code_ends_after_15_minutes_and_the_store_does_not_know_it(redis: Client) -> None:
    limits = Limits(redis, rules())
    code = await limits.offer_admin()
    (name,) = await redis.keys("*")
    assert code.encode() not in name
    assert 14 * 60 < await redis.ttl(name) <= 15 * 60
    await redis.pexpire(name, 1)
    await asyncio.sleep(0.005)
    assert not await limits.redeem(code, ANN)


async def test_a_code_is_used_up_only_by_making_somebody_admin(redis: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(redis, rules())
    code = await limits.offer_admin()
    with monkeypatch.context() as patch:

        async def die(_: object) -> None:
            raise RedisConnectionError

        patch.setattr(Pipeline, "execute", die)
        with pytest.raises(RedisConnectionError):
            await limits.redeem(code, ANN)
    assert not await limits.is_admin(ANN)
    assert await limits.redeem(code, ANN)


async def test_two_codes_are_different_and_both_good(redis: Client) -> None:
    limits = Limits(redis, rules())
    first, second = await limits.offer_admin(), await limits.offer_admin()
    assert first != second
    assert await limits.redeem(first, ANN)
    assert await limits.redeem(second, BOB)


async def test_an_admin_by_the_environment_is_an_admin(redis: Client) -> None:
    limits = Limits(redis, rules(admins=ANN))
    assert await limits.has_admin()
    assert await limits.is_admin(ANN)


async def test_the_ask_too_many_is_told_how_many_seconds_to_wait(redis: Client) -> None:
    limits, now = Limits(redis, rules(), asks_a_minute=3), time.time()
    for ago in (43, 20, 0):
        await limits.take(ANN, sent=now - ago)
    for _ in range(2):  # knocking does not make it longer
        with pytest.raises(Refused, match="too_fast") as refused:
            await limits.take(ANN, sent=now)
        assert refused.value.details == {"seconds": 17}
    await limits.take(BOB)


async def test_a_minute_that_is_over_counts_no_more(redis: Client) -> None:
    limits = Limits(redis, rules(), asks_a_minute=1)
    await limits.take(ANN, sent=time.time() - keys.RATE_TTL)
    await limits.take(ANN)
    assert 0 < await redis.ttl(keys.rate(ANN)) <= keys.RATE_TTL


async def test_what_an_outage_held_back_counts_in_the_minute_in_which_it_was_sent(redis: Client) -> None:
    limits, now = Limits(redis, rules(), asks_a_minute=2), time.time()
    for ago in (0, 1, 3600, 3590, 61, 62, 200, 201):  # the newest may be read first
        await limits.take(ANN, sent=now - ago)
    for ago in (0, 3590):
        with pytest.raises(Refused, match="too_fast"):
            await limits.take(ANN, sent=now - ago)
    with pytest.raises(Refused, match="too_fast"):
        await limits.take(ANN, sent=now + 3600)  # nobody sends from the future


async def test_asks_of_long_ago_are_not_kept(redis: Client) -> None:
    limits, now = Limits(redis, rules()), time.time()
    for ago in (7200, 7100, 0):
        await limits.take(ANN, sent=now - ago)
    assert await redis.zcard(keys.rate(ANN)) == 1


async def test_an_ask_that_is_read_again_is_no_second_one(redis: Client) -> None:
    limits = Limits(redis, rules(), asks_a_minute=1)
    for _ in range(3):
        await limits.take(ANN, "telegram:1:1")
    with pytest.raises(Refused, match="too_fast"):
        await limits.take(ANN, "telegram:1:2")


async def test_asks_at_the_same_moment_are_counted_each(redis: Client) -> None:
    limits = Limits(redis, rules(), asks_a_minute=5)
    taken = await asyncio.gather(*(limits.take(ANN) for _ in range(9)), return_exceptions=True)
    assert sum(isinstance(outcome, Refused) for outcome in taken) == 4


async def test_a_stranger_is_told_once_a_day(redis: Client) -> None:
    limits = Limits(redis, rules())
    assert [await limits.first_visit_today(ANN) for _ in range(3)] == [True, False, False]
    assert await limits.first_visit_today(BOB)
    assert 0 < await redis.ttl(keys.told(ANN)) <= keys.DAY
