"""Joining by a one-time code: a bad code joins nobody, a good one exactly once, and a group is never half joined."""

from __future__ import annotations

import asyncio

import pytest

from storage import keys
from storage.connection import Client
from storage.people import People
from storage.stores import Stores

ANN, ANN_TOO, ANN_AGAIN, BEN, BEN_TOO = "telegram:1", "discord:1", "matrix:1", "telegram:2", "discord:2"
EVERYBODY = (ANN, ANN_TOO, ANN_AGAIN, BEN, BEN_TOO)


@pytest.fixture
def people(stores: Stores) -> People:
    return stores.people


async def joined(people: People, issuer: str, person: str) -> str:
    """What comes of it when one person sends another's code."""
    return await people.join(await people.offer(issuer), person)


async def alone(people: People) -> bool:
    """Whether nobody is joined with anybody."""
    return all([await people.aliases(each) == [each] and await people.of(each) == each for each in EVERYBODY])


@pytest.mark.parametrize("code", ["", "wrong", "0123456789abcdef", "*", "ü", "x" * 5000])
async def test_a_wrong_code_joins_nobody(people: People, code: str) -> None:
    await people.offer(ANN)
    assert await people.join(code, BEN) == "wrong"
    assert await alone(people)


async def test_one_s_own_code_joins_nobody_and_stays_good(people: People) -> None:
    code = await people.offer(ANN)
    assert await people.join(code, ANN) == "own"
    assert await alone(people)
    assert await people.join(code, ANN_TOO) == "ok"


async def test_a_code_is_good_for_fifteen_minutes(people: People, redis: Client) -> None:
    code = await people.offer(ANN)
    names = await redis.keys("*link*")
    assert len(names) == 2
    for name in names:
        assert 890 < await redis.ttl(name) <= 900
        await redis.pexpire(name, 1)
    await asyncio.sleep(0.005)
    assert await people.join(code, ANN_TOO) == "wrong"
    assert await alone(people)


async def test_a_code_is_good_once_but_its_user_may_send_it_twice(people: People) -> None:
    code = await people.offer(ANN)
    assert [await people.join(code, ANN_TOO) for _ in range(2)] == ["ok", "ok"]
    assert await people.join(code, BEN) == "wrong"
    assert await people.aliases(BEN) == [BEN]
    assert await people.aliases(ANN_TOO) == [ANN, ANN_TOO]


async def test_a_code_that_joined_nobody_new_is_used_up_too(people: People) -> None:
    await joined(people, ANN, ANN_TOO)
    code = await people.offer(ANN)
    assert await people.join(code, ANN_TOO) == "ok"
    assert await people.join(code, BEN) == "wrong"


async def test_a_fresh_code_makes_the_one_before_it_void(people: People) -> None:
    former, code = await people.offer(ANN), await people.offer(ANN)
    assert await people.join(former, ANN_TOO) == "wrong"
    assert await alone(people)
    assert await people.join(code, ANN_TOO) == "ok"


async def test_of_two_who_send_a_code_at_once_one_is_joined(people: People) -> None:
    code = await people.offer(ANN)
    assert sorted(await asyncio.gather(people.join(code, BEN), people.join(code, ANN_TOO))) == ["ok", "wrong"]
    assert len(await people.aliases(ANN)) == 2


async def test_joins_at_once_across_each_other_leave_one_whole_group(people: People) -> None:
    codes = await asyncio.gather(*map(people.offer, EVERYBODY))
    neighbours = (*EVERYBODY[1:], EVERYBODY[0])
    answers = await asyncio.gather(*map(people.join, codes, neighbours))
    assert set(answers) == {"ok"}
    groups = [await people.aliases(each) for each in EVERYBODY]
    assert sorted(groups[0]) == sorted(EVERYBODY)
    assert groups == [groups[0]] * len(EVERYBODY)
    assert {await people.of(each) for each in EVERYBODY} == {groups[0][0]}


async def test_only_the_code_s_hash_is_stored(people: People, redis: Client) -> None:
    code = await people.offer(ANN)
    for name in await redis.keys("*link*"):
        assert code not in name.decode()
        assert code not in (await redis.get(name)).decode()


async def test_a_code_may_be_typed_in_capitals_and_with_spaces_around_it(people: People) -> None:
    code = await people.offer(ANN)
    assert await people.join(f" {code.upper()}\n", ANN_TOO) == "ok"


async def test_who_showed_the_code_stays_the_first_over_three_platforms(people: People) -> None:
    assert await joined(people, ANN, ANN_TOO) == "ok"
    assert await joined(people, ANN_TOO, ANN_AGAIN) == "ok"
    for each in (ANN, ANN_TOO, ANN_AGAIN):
        assert await people.of(each) == ANN
        assert await people.aliases(each) == [ANN, ANN_TOO, ANN_AGAIN]
    assert await people.aliases(BEN) == [BEN]


async def test_two_groups_become_one_without_loss(people: People, redis: Client) -> None:
    await joined(people, BEN, BEN_TOO)
    await joined(people, ANN, ANN_TOO)
    assert await joined(people, ANN_TOO, BEN_TOO) == "ok"
    for each in (ANN, ANN_TOO, BEN, BEN_TOO):
        assert await people.of(each) == ANN
        assert await people.aliases(each) == [ANN, ANN_TOO, BEN, BEN_TOO]
    assert await redis.ttl(keys.JOINED) == -1
