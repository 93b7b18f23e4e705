"""Every Redis key askpix uses, with its lifetime. One hash tag: all keys live in one slot."""

from __future__ import annotations

PREFIX = "{askpix}:"

DAY = 86_400  # seconds

# Lifetimes in seconds. A key that is not listed here lives as long as the work it holds.
SEEN_TTL = DAY  # tombstone of a platform update: platforms redeliver for at most a day
JOB_TTL = DAY  # tombstone of a finished ask, for deduplication, and the question of one that failed
TEXT_TTL = 3_600  # partial text of an ask; refreshed by every emit, dead once the ask is finished
HISTORY_TTL = 30 * DAY
PHOTO_TTL = 7 * DAY
SLOTS_TTL = 30 * DAY  # which messages hold an answer; where a finished ask came from, for its buttons
PASSING_TTL = 3_600  # the outbox of a terminal or a page: a closed tab never acknowledges
ADMIN_CODE_TTL = 15 * 60
ROLE_TTL = 3  # a role whose heartbeat is older is gone; heartbeats come every second
RATE_TTL = 60  # one window of the per-person rate limit

# Queue (design: ring, lanes and jobs; the Lua scripts know the same names)
RING = PREFIX + "ring"  # ZSET lane -> score: whose turn it is
ACTIVE = PREFIX + "act"  # HASH lane -> id: one running ask a lane
LEASE = PREFIX + "lease"  # ZSET id -> expiry, ms
DELAYED = PREFIX + "delayed"  # ZSET lane -> due, ms
WAKE = PREFIX + "wake"  # LIST, at most one token: a hint that the ring is not empty
COUNTS = PREFIX + "counts"  # HASH: queued, seq, beat, done, failed
CONTROL = PREFIX + "ctl"  # channel: ids of running asks that were cancelled
PHOTO_INDEX = PREFIX + "imgs"  # ZSET person|sha256 -> last use, ms
PHOTO_SIZES = PREFIX + "imgsize"  # HASH person|sha256 -> bytes; field "total" is their sum
PHOTO_USES = PREFIX + "imguse"  # HASH person|sha256 -> asks that are waiting or running with it
ADMINS = PREFIX + "admins"  # SET of persons who became admin by the one-time link
MOVED = PREFIX + "moved"  # HASH chat -> the id it had before its platform gave it another
SECRET = PREFIX + "secret"  # random, made once: names persons to the engine without naming them
MODEL = PREFIX + "model"  # the running engine's `Model` record
ROLES = PREFIX + "roles"  # SET of instances ever seen; each has a record with ROLE_TTL


def lane(name: str) -> str:
    """LIST of job ids, first in, first out."""
    return f"{PREFIX}l:{name}"


def job(id: str) -> str:
    """HASH: state, lane, payload (the ask without its question), question, fence, failures, due, worker, outbox, …"""
    return f"{PREFIX}j:{id}"


def text(id: str, fence: int) -> str:
    """STRING: the answer so far, under one fence."""
    return f"{PREFIX}t:{id}:{fence}"


def inbox(platform: str) -> str:
    """STREAM of raw updates that are not asks yet."""
    return f"{PREFIX}in:{platform}"


def seen(platform: str, update: str) -> str:
    """Tombstone of one platform update."""
    return f"{PREFIX}seen:{platform}:{update}"


def outbox(name: str) -> str:
    """STREAM of finished replies of one platform (or one terminal) that are not delivered yet."""
    return f"{PREFIX}out:{name}"


def events(outbox_name: str) -> str:
    """Channel on which an outbox's readers hear of starts and deltas."""
    return f"{PREFIX}ev:{outbox_name}"


def open_asks(outbox_name: str) -> str:
    """SET of asks whose reply is not acknowledged yet."""
    return f"{PREFIX}open:{outbox_name}"


def slots(id: str) -> str:
    """LIST of the messages that hold an answer, in order."""
    return f"{PREFIX}slots:{id}"


def sent(id: str, fence: int, what: str) -> str:
    """The message that went with an answer (its file, its note), empty while it is being sent: never sent twice."""
    return f"{PREFIX}sent:{id}:{fence}:{what}"


def message(platform: str, chat: str, message_id: str) -> str:
    """Which ask a message belongs to: replies, buttons and edits find it after a restart."""
    return f"{PREFIX}msg:{platform}:{chat}:{message_id}"


def history(conversation: str) -> str:
    """LIST of turns, oldest first."""
    return f"{PREFIX}h:{conversation}"


def epoch(conversation: str) -> str:
    """Counts the fresh starts of a conversation; an ask of an earlier epoch leaves no turn."""
    return f"{PREFIX}e:{conversation}"


def kept(conversation: str) -> str:
    """SET of asks whose question is kept though it has no turn: they failed, and may be tried again."""
    return f"{PREFIX}kept:{conversation}"


def conversations(person: str) -> str:
    """SET of a person's conversations, for /forget."""
    return f"{PREFIX}convs:{person}"


def latest(person: str) -> str:
    """The conversation a person asked in last, for `askpix ask --continue`."""
    return f"{PREFIX}latest:{person}"


def photo(person: str, sha256: str) -> str:
    """STRING: one photo's bytes."""
    return f"{PREFIX}img:{person}|{sha256}"


def admin_code(digest: str) -> str:
    """The one-time code (its sha256) whose sender becomes admin."""
    return f"{PREFIX}admincode:{digest}"


def rate(person: str) -> str:
    """Asks of one person in the present window."""
    return f"{PREFIX}rate:{person}"


def told(person: str) -> str:
    """A stranger was told today that this bot is closed."""
    return f"{PREFIX}told:{person}"


def role(instance: str) -> str:
    """HASH: one role instance's heartbeat."""
    return f"{PREFIX}role:{instance}"
