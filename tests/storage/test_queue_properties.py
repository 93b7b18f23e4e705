"""The queue's invariants under any order of steps: a machine that does what workers, askers and crashes do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import structs

from storage import keys
from storage.connection import Client, Scripts, connect
from storage.history import History
from storage.messages import Done, Photo, Turn, decode
from storage.queue import Claim, Queue
from storage.replies import Finished, Replies
from tests.storage.asks import make_ask

T = TypeVar("T")
PERSONS = st.sampled_from(["p:a", "p:b", "p:c"])
WORKERS = st.sampled_from(["w1", "w2"])
FINAL = {"done", "failed", "cancelled"}
PHOTO = Photo("aa", "image/png", 32, 32, 10)


class Machine(RuleBasedStateMachine):
    """Every rule is one step of somebody; the invariants are those of design.md §3."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis: Client = connect(self.url)
        self.queue = Queue(self.redis, Scripts(self.redis), limit=1000, lane_limit=1000)
        self.claims: list[Claim] = []
        self.enqueued: dict[str, list[str]] = {}
        self.fences: dict[str, int] = {}
        self.replies = Replies(self.redis, Scripts(self.redis))
        self.history = History(self.redis)
        self.read_once: list[Finished] = []
        self.shown: set[str] = set()
        self.n = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def empty(self) -> None:
        self.do(self.redis.flushall())
        self.do(self.replies.open_outbox("telegram"))

    @rule(person=PERSONS)
    def enqueue(self, person: str) -> None:
        self.n += 1
        conversation = f"{person}:chat"
        ask = make_ask(f"j{self.n}", person, conversation=conversation, photos=(PHOTO,))
        epoch = self.do(self.history.enter(person, conversation))
        assert self.do(self.queue.enqueue(structs.replace(ask, epoch=epoch)))
        self.enqueued.setdefault(person, []).append(f"j{self.n}")

    @precondition(lambda self: self.n > 0)
    @rule(data=st.data())
    def enqueue_again(self, data: st.DataObject) -> None:
        person = data.draw(st.sampled_from(sorted(self.enqueued)))
        id = data.draw(st.sampled_from(self.enqueued[person]))
        assert not self.do(self.queue.enqueue(make_ask(id, person)))

    @rule(worker=WORKERS, n=st.integers(1, 3))
    def claim(self, worker: str, n: int) -> None:
        found, _ = self.do(self.queue.claim(worker, n))
        for claim in found:
            assert claim.fence > self.fences.get(claim.ask.id, 0)
            self.fences[claim.ask.id] = claim.fence
        self.claims += found

    @rule(worker=WORKERS)
    def restart(self, worker: str) -> None:
        self.do(self.queue.reset(worker))

    @rule()
    def leases_run_out(self) -> None:
        for id in self.do(self.redis.zrange(keys.LEASE, 0, -1)):
            self.do(self.redis.zadd(keys.LEASE, {id: 1}))

    @rule()
    def delays_run_out(self) -> None:
        for lane in self.do(self.redis.zrange(keys.DELAYED, 0, -1)):
            self.do(self.redis.zadd(keys.DELAYED, {lane: 1}))
            head = self.do(self.redis.lindex(keys.lane(lane.decode()), 0))
            self.do(self.redis.hset(keys.job(head.decode()), "due", 0))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        turns = [structs.replace(claim.ask.question, ask=claim.ask.id), Turn("assistant", "x", ask=claim.ask.id)]
        done = self.do(self.queue.finish(claim, Done("x"), turns))
        assert not done or claim.fence == self.fences[claim.ask.id]

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), delay=st.sampled_from([0.0, 100.0]), failed=st.booleans())
    def release(self, data: st.DataObject, delay: float, failed: bool) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        self.do(self.queue.release(claim, delay=delay, failed=failed))

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.do(self.queue.renew([data.draw(st.sampled_from(self.claims))]))

    @rule(person=PERSONS, data=st.data())
    def cancel(self, person: str, data: st.DataObject) -> None:
        ids = self.enqueued.get(person, [])
        id = data.draw(st.sampled_from([None, *ids]))
        self.do(self.queue.cancel(person, id=id))

    @precondition(lambda self: self.n > 0)
    @rule(data=st.data(), newest=st.booleans())
    def amend(self, data: st.DataObject, newest: bool) -> None:
        person = data.draw(st.sampled_from(sorted(self.enqueued)))
        id = data.draw(st.sampled_from(self.enqueued[person]))
        found = self.do(self.queue.find(id))
        assert found
        assert found.known or not found.open, "what waits or runs has its question"
        assert self.do(self.queue.amend(found.ask, found.fence - 1)) == "changed"
        if not found.known:
            return  # of what was forgotten nobody asks anew
        answer = self.do(self.queue.amend(found.ask, found.fence, newest=newest))
        if answer == "ok":
            self.fences[id] = found.fence + 1
            self.shown.discard(id)
            if found.state != "queued":  # in front of its lane, but behind what runs and may come back
                ids, running = self.enqueued[person], self.do(self.redis.hget(keys.ACTIVE, person))
                ids.remove(id)
                ids.insert(ids.index(running.decode()) + 1 if running else 0, id)
        else:  # what was stopped is taken up by its asker's own wish only
            assert (answer, newest) == ("older", True) or (answer, newest, found.state) == (
                "changed",
                False,
                "cancelled",
            )

    @rule()
    def read(self) -> None:
        self.read_once += self.do(self.replies.finished("telegram", wait=0.001))

    @precondition(lambda self: self.read_once)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        finished = data.draw(st.sampled_from(self.read_once))  # perhaps one that was asked anew since
        last = self.do(self.redis.hget(keys.job(finished.id), "entry")) == finished.entry.encode()
        self.do(self.replies.delivered("telegram", finished))
        if last:
            self.shown.add(finished.id)

    @rule(person=PERSONS)
    def start_afresh(self, person: str) -> None:
        self.do(self.history.restart(f"{person}:chat"))

    def jobs(self) -> dict[str, tuple[str, int]]:
        """State and seconds to live of every ask."""
        ids = [id for each in self.enqueued.values() for id in each]
        pipe = self.redis.pipeline(transaction=False)
        for id in ids:
            pipe.hget(keys.job(id), "state")
            pipe.ttl(keys.job(id))
        found: list[Any] = self.do(pipe.execute())
        return {id: (found[2 * n].decode(), found[2 * n + 1]) for n, id in enumerate(ids)}

    @invariant()
    def each_job_is_in_exactly_one_place(self) -> None:
        running = {lane.decode(): id.decode() for lane, id in self.do(self.redis.hgetall(keys.ACTIVE)).items()}
        leased = {id.decode() for id in self.do(self.redis.zrange(keys.LEASE, 0, -1))}
        assert leased == set(running.values())
        waiting, jobs = 0, self.jobs()
        for person, ids in self.enqueued.items():
            lane = [id.decode() for id in self.do(self.redis.lrange(keys.lane(person), 0, -1))]
            waiting += len(lane)
            assert len(set(lane)) == len(lane)
            assert lane == [id for id in ids if id in lane], "lane order is enqueue order"
            for id in ids:
                state, _ = jobs[id]
                assert (id in lane) == (state == "queued")
                assert (running.get(person) == id) == (state == "running")
                assert state in {"queued", "running"} | FINAL
        assert self.do(self.queue.counts())["queued"] == waiting

    @invariant()
    def each_waiting_lane_is_in_exactly_one_of_ring_delayed_and_act(self) -> None:
        ring = {lane.decode() for lane in self.do(self.redis.zrange(keys.RING, 0, -1))}
        delayed = {lane.decode() for lane in self.do(self.redis.zrange(keys.DELAYED, 0, -1))}
        active = {lane.decode() for lane in self.do(self.redis.hkeys(keys.ACTIVE))}
        assert not ring & delayed
        assert not active & (ring | delayed)
        filled = {person for person in self.enqueued if self.do(self.redis.llen(keys.lane(person)))}
        assert ring | delayed == filled - active
        if ring:
            assert self.do(self.redis.llen(keys.WAKE)) == 1, "a waiting worker is told"

    @invariant()
    def each_closed_job_has_one_outbox_entry_until_it_is_shown_and_holds_no_photo(self) -> None:
        entries: Any = self.do(self.redis.xrange(keys.outbox("telegram")))
        ids = [fields[b"id"].decode() for _, fields in entries]
        assert len(set(ids)) == len(ids)
        jobs = self.jobs()
        assert set(ids) == {id for id, (state, _) in jobs.items() if state in FINAL} - self.shown
        assert set(self.do(self.replies.open_asks("telegram"))) == jobs.keys() - self.shown
        assert {id for id, (_, ttl) in jobs.items() if ttl > 0} == self.shown, "only what is shown expires"
        waiting = Counter(person for person, ids in self.enqueued.items() for id in ids if jobs[id][0] not in FINAL)
        uses = self.do(self.redis.hgetall(keys.PHOTO_USES))
        assert {name.decode(): int(n) for name, n in uses.items()} == {f"{name}|aa": n for name, n in waiting.items()}

    @invariant()
    def each_answered_ask_has_one_pair_of_turns(self) -> None:
        for person in self.enqueued:
            raw: Any = self.do(self.redis.lrange(keys.history(f"{person}:chat"), 0, -1))
            turns = [decode(turn, Turn) for turn in raw]
            asks = [turn.ask for turn in turns if turn.role == "user"]
            assert [turn.ask for turn in turns] == [ask for ask in asks for _ in range(2)]
            assert len(set(asks)) == len(asks)

    def teardown(self) -> None:
        self.do(self.redis.aclose())
        self.loop.close()


@pytest.mark.timeout(120)
def test_the_queues_invariants_hold_in_any_order_of_steps(server_url: str) -> None:
    made: Callable[[], Machine] = type("OnServer", (Machine,), {"url": server_url})
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=45, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
