"""The durable, fair queue: one lane a person, lanes take turns, one running ask a lane. The rules are in scripts/."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Literal

import msgspec
from redis.exceptions import NoScriptError

from storage import keys
from storage.connection import Client, Scripts
from storage.history import remembered
from storage.messages import Ask, Event, Refused, Turn, View, decode, encode

State = Literal["ok", "cancelled", "lost"]
Amended = Literal["ok", "changed", "older"]


class Claim(msgspec.Struct, frozen=True):
    """One ask in a worker's hands; writes are accepted under this fence only."""

    ask: Ask
    fence: int


class Found(msgspec.Struct, frozen=True):
    """An ask that was enqueued once. `known`: its question is; else it was forgotten and `ask` is all but that."""

    ask: Ask
    known: bool
    state: str  # "queued", "running", "done", "failed" or "cancelled" (also while its worker is still to hear of it)
    fence: int

    @property
    def open(self) -> bool:
        """Whether its answer is still to come."""
        return self.state in ("queued", "running")


class Queue:
    """Enqueue, claim, renew, finish: each one atomic round trip.

    limit and lane_limit count waiting asks, of everybody and of one person; lease is in seconds; an ask that broke the
    engine or its worker failure_limit times is given up; turns are kept for history_ttl seconds.
    """

    def __init__(
        self, redis: Client, scripts: Scripts, *, limit: int = 10_000, lane_limit: int = 100, lease: float = 15.0,
        failure_limit: int = 8, history_ttl: int = keys.HISTORY_TTL,
    ) -> None:  # fmt: skip
        self._redis = redis
        self._scripts = scripts
        self._limit = limit
        self._lane_limit = lane_limit
        self._failure_limit = failure_limit
        self._history_ttl = history_ttl
        self.lease = lease

    async def enqueue(self, ask: Ask, *, passing: bool = False, priority: int = 0) -> bool:
        """Put an ask at the end of its lane; False when it was enqueued before.

        passing: its outbox belongs to a terminal or a page and may expire unread. priority: turns to jump ahead.
        Raises Refused("queue_full"), Refused("lane_full", limit=…) or Refused("draining").
        """
        answer: bytes = await self._scripts.call(
            "enqueue", ask.id, ask.lane, ask.outbox, int(passing), ask.conversation, ask.epoch, _members(ask), priority,
            self._limit, self._lane_limit, *_parts(ask),
        )  # fmt: skip
        _check(answer)
        if answer == b"lane_full":
            raise Refused("lane_full", limit=self._lane_limit)
        return answer == b"ok"

    async def find(self, id: str) -> Found | None:
        """An ask by its id, with the question that it asks or asked; None when nothing is known of it any more."""
        payload, question, state, fence, stopped = await self._redis.hmget(
            keys.job(id), "payload", "question", "state", "fence", "cancel"
        )
        if payload is None:
            return None
        ask = _whole(payload, question)
        if not question:
            ask = msgspec.structs.replace(ask, question=await remembered(self._redis, ask, "user") or Turn())
        return Found(ask, ask.question != Turn(), "cancelled" if stopped else state.decode(), int(fence))

    async def amend(self, ask: Ask, fence: int, *, newest: bool = False) -> Amended:
        """Answer an ask of this id anew, as `ask` says it now: waiting, running or closed. Its fence becomes fence + 1.

        "changed": it is no longer under the fence that `find` saw. newest: its asker wants it, also if it was stopped,
        and no later question of its conversation was answered, else "older"; without, a stopped one is "changed".
        Raises Refused("queue_full") or Refused("draining").
        """
        answer: bytes = await self._scripts.call(
            "amend", ask.id, fence, int(newest), self._limit, *_parts(ask), _members(ask)
        )
        _check(answer)
        return answer.decode()  # pyright: ignore[reportReturnType] : the script's own words

    async def claim(self, worker: str, n: int, wait: float = 0.0) -> tuple[list[Claim], float | None]:
        """Take up to n asks, one a lane, each lane in its turn; wait up to `wait` seconds for a first one.

        Returns the claims and the seconds until a parked lane is due (None: no lane is parked). The wait is one
        blocking pop in front of the claim in the same pipeline, so waking up costs no further round trip.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            if wait > 0:
                pipe.execute_command("BLPOP", keys.WAKE, wait)
            self._scripts.queue_on(pipe, "claim", n, self._lease_ms(), worker, self._failure_limit)
            try:
                taken: list[Any] = (await pipe.execute())[-1]
            except NoScriptError:
                taken = await self._scripts.call("claim", n, self._lease_ms(), worker, self._failure_limit)
        claims = [
            Claim(_whole(payload, question), int(fence))
            for _, fence, payload, question in zip(*(taken[at::4] for at in range(1, 5)), strict=True)
        ]
        return claims, None if taken[0] < 0 else taken[0] / 1000

    async def wake(self) -> None:
        """End one waiting claim."""
        await self._redis.execute_command("LPUSH", keys.WAKE, 1)

    async def renew(self, held: Sequence[Claim]) -> list[State]:
        """Extend the leases of claims; says of each whether it still stands, was cancelled by its asker, or is lost."""
        pairs = [value for claim in held for value in (claim.ask.id, claim.fence)]
        states: list[bytes] = await self._scripts.call("renew", self._lease_ms(), *pairs)
        return [state.decode() for state in states]  # pyright: ignore[reportReturnType] : the script's own three words

    async def finish(
        self, claim: Claim, event: Event, turns: Iterable[Turn] = (), view: View | None = None, first: str = ""
    ) -> bool:
        """Close a claim: its final event enters the outbox and its turns the history. False when the fence was lost.

        view: what the engine saw of the conversation. first: the ask before whose turns everything is dropped.
        """
        state = event.__struct_config__.tag
        ask = claim.ask
        done: int = await self._scripts.call(
            "finish", ask.id, claim.fence, str(state), encode(event), ask.conversation, ask.epoch, self._history_ttl,
            first, encode(view) if view else "", *(encode(turn) for turn in turns),
        )  # fmt: skip
        return done == 1

    async def release(self, claim: Claim, *, delay: float = 0.0, failed: bool = False) -> int:
        """Give a claim back to the head of its lane, due after `delay` seconds; `failed` counts towards giving up.

        0: the fence was lost. 2: that was its last try, it is closed.
        """
        return await self._scripts.call(
            "release", claim.ask.id, claim.fence, int(delay * 1000), int(failed), self._failure_limit
        )

    async def reset(self, worker: str, held: Iterable[str] = ()) -> int:
        """Give back what this worker is thought to hold but does not know of; returns how many.

        A former life held it, or the reply to a claim was lost with the connection.
        """
        return await self._scripts.call("reset", worker, *held)

    async def cancel(self, lane: str, *, id: str | None = None, conversation: str = "*") -> int:
        """Stop one ask of a lane, or those of one conversation, or all; returns how many were waiting or running."""
        by, what = ("id", id) if id is not None else ("conversation", conversation)
        return await self._scripts.call("cancel", lane, by, what)

    async def cancelled(self) -> AsyncGenerator[tuple[str, int]]:
        """Id and fence of running asks as they are stopped or asked anew; a hint, `renew` says it again."""
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(keys.CONTROL)
            async for message in pubsub.listen():
                fence, _, id = message["data"].decode().partition(" ")
                yield id, int(fence)

    async def places(self, ids: Sequence[str]) -> list[int | None]:
        """For each ask how many are served before it; None when it does not wait."""
        found: list[int] = await self._scripts.call("places", *ids)
        return [None if place < 0 else place for place in found]

    async def counts(self) -> dict[str, int]:
        """queued and running now; done, failed and cancelled since the store began."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.COUNTS)
            pipe.hlen(keys.ACTIVE)
            raw, running = await pipe.execute()
        known = {name: int(raw.get(name.encode(), 0)) for name in ("queued", "done", "failed", "cancelled")}
        return known | {"running": running}

    def _lease_ms(self) -> int:
        return int(self.lease * 1000)


def _check(answer: bytes) -> None:
    if answer == b"full":
        raise Refused("queue_full")
    if answer == b"draining":
        raise Refused("draining")


def _parts(ask: Ask) -> tuple[bytes, bytes]:
    """An ask as it is stored: itself and, apart, its question, which goes when it has become a turn."""
    return encode(msgspec.structs.replace(ask, question=Turn())), encode(ask.question)


def _whole(payload: bytes, question: bytes | None) -> Ask:
    ask = decode(payload, Ask)
    return msgspec.structs.replace(ask, question=decode(question, Turn)) if question else ask


def _members(ask: Ask) -> str:
    """The photos that an ask uses, as the photo store's records name them."""
    return " ".join(f"{ask.person}|{photo.sha256}" for photo in ask.photos())
