"""What the service says of itself: the model, who answers, and how long an answer takes."""

from __future__ import annotations

import pytest

from storage import keys
from storage.connection import Client
from storage.health import Health, Service
from storage.messages import Model


@pytest.fixture
def health(redis: Client) -> Health:
    return Health(redis)


async def role(redis: Client, instance: str, role: str = "worker", **figures: str) -> None:
    """Leave a sign of life as a role's heartbeat does."""
    record = {"role": role, "pid": "1", "host": "here", "version": "1", "started": "1.0", **figures}
    await redis.hset(keys.role(instance), mapping=record)
    await redis.expire(keys.role(instance), keys.ROLE_TTL)
    await redis.sadd(keys.ROLES, instance)


async def test_no_worker_at_all(health: Health) -> None:
    assert await health.service() == Service("worker_down", 0, None)


async def test_other_roles_answer_nothing(health: Health, redis: Client) -> None:
    await role(redis, "t", "telegram", engine="up", slots="4")
    assert await health.service() == Service("worker_down", 0, None)


async def test_a_worker_whose_engine_does_not_answer(health: Health, redis: Client) -> None:
    await role(redis, "w1", engine="down", slots="4", seconds="2.0")
    await role(redis, "w2")
    assert await health.service() == Service("engine_down", 0, None)


async def test_one_engine_that_answers_is_enough(health: Health, redis: Client) -> None:
    await role(redis, "w1", engine="down", slots="4")
    await role(redis, "w2", engine="up", slots="8")
    assert await health.service() == Service(None, 8, None)


async def test_slots_add_up_and_speeds_are_averaged_over_those_that_measured(health: Health, redis: Client) -> None:
    await role(redis, "w1", engine="up", slots="8", seconds="2.0")
    await role(redis, "w2", engine="up", slots="4", seconds="4.0")
    await role(redis, "w3", engine="up", slots="1")
    await role(redis, "w4", engine="down", slots="1", seconds="100")
    assert await health.service() == Service(None, 13, 3.0)


async def test_a_worker_that_stopped_beating_is_gone(health: Health, redis: Client) -> None:
    await role(redis, "w1", engine="up", slots="8")
    await redis.delete(keys.role("w1"))  # as its TTL does
    assert await health.service() == Service("worker_down", 0, None)


@pytest.mark.parametrize(
    ("place", "slots", "seconds", "eta"),
    [(0, 4, None, None), (0, 4, 2.0, 2.0), (3, 4, 2.0, 2.0), (4, 4, 2.0, 4.0), (8, 4, 2.0, 6.0), (2, 0, 2.0, 6.0)],
)
def test_an_eta_is_the_rounds_before_it_at_measured_speed(
    place: int, slots: int, seconds: float | None, eta: float | None
) -> None:
    assert Service(None, slots, seconds).eta(place) == eta


async def test_the_model_is_unknown_until_it_was_published_and_stays_when_the_engine_is_gone(
    health: Health, redis: Client
) -> None:
    assert await health.model() is None
    model = Model("qwen", 32_768, 16, 65_536, 1_310_720)
    await health.publish_model(model)
    assert await health.model() == model
    assert (await health.service()).reason == "worker_down"
    assert await redis.ttl(keys.MODEL) == -1


async def test_the_secret_is_made_once_for_every_process_of_a_store(redis: Client) -> None:
    first, second = await Health(redis).secret(), await Health(redis).secret()
    assert first == second
    assert len(first) == 32
