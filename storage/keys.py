"""Every Redis key askpix uses, with its lifetime. One hash tag: all keys live in one slot."""

from __future__ import annotations

import re
from collections.abc import Callable

PREFIX = "{askpix}:"

DAY = 86_400  # seconds

# Lifetimes in seconds. A key that is not listed here lives as long as the work it holds.
SEEN_TTL = DAY  # tombstone of a platform update: platforms redeliver for at most a day
JOB_TTL = DAY  # tombstone of a finished ask, for deduplication, and the question of one that failed
TEXT_TTL = 3_600  # partial text of an ask; refreshed by every emit, dead once the ask is finished
HISTORY_TTL = 30 * DAY  # unless ASKPIX_HISTORY_DAYS says otherwise
PHOTO_TTL = 7 * DAY  # unless ASKPIX_PHOTO_DAYS does; from the last ask that used it, none while one does
SLOTS_TTL = 30 * DAY  # which messages hold an answer; where a finished ask came from, for its buttons
PASSING_TTL = 3_600  # the outbox of a terminal or a page: a closed tab never acknowledges
ADMIN_CODE_TTL = 15 * 60
DRAFT_TTL = 3_600  # a form stays open as long as its person leaves it so; longer is a new thought
LINK_CODE_TTL = 15 * 60
ROLE_TTL = 3  # a role whose heartbeat is older is gone; heartbeats come every second
RATE_TTL = 60  # one window of the per-person rate limit

# Queue (design: ring, lanes and jobs; the Lua scripts know the same names)
RING = PREFIX + "ring"  # ZSET lane -> score: whose turn it is
ACTIVE = PREFIX + "act"  # HASH lane -> id: one running ask a lane
LEASE = PREFIX + "lease"  # ZSET id -> expiry, ms
DELAYED = PREFIX + "delayed"  # ZSET lane -> due, ms
WAKE = PREFIX + "wake"  # LIST, at most one token: a hint that the ring is not empty
COUNTS = PREFIX + "counts"  # HASH: queued, seq, beat, done, failed; photo_ttl, as the last `put` had it
CONTROL = PREFIX + "ctl"  # channel: ids of running asks that were cancelled
PHOTO_INDEX = PREFIX + "imgs"  # ZSET person|sha256 -> last use, ms; each after the former one, whatever the clock does
PHOTO_SIZES = PREFIX + "imgsize"  # HASH person|sha256 -> bytes; field "total" is their sum
PHOTO_USES = PREFIX + "imguse"  # HASH person|sha256 -> asks that are waiting or running with it
ADMINS = PREFIX + "admins"  # SET of persons who became admin by the one-time link
# HASH person -> all who are one with them by /link, the lane's first; it lasts, like an admin
JOINED = PREFIX + "joined"
MOVED = PREFIX + "moved"  # HASH chat -> the id it had before its platform gave it another
SECRET = PREFIX + "secret"  # random, made once: names persons to the engine without naming them
MODEL = PREFIX + "model"  # the running engine's `Model` record
ROLES = PREFIX + "roles"  # SET of instances ever seen; each has a record with ROLE_TTL


def _key(form: str) -> Callable[..., str]:
    """A key's name as a function of its parts; raises IndexError when one is missing."""
    return (PREFIX.replace("{", "{{").replace("}", "}}") + re.sub(r"{\w+}", "{}", form)).format


lane = _key("l:{name}")  # LIST of job ids, first in, first out
# HASH: state, lane, payload (the ask without its question), question, fence, failures, due, worker, outbox, …
job = _key("j:{id}")
text = _key("t:{id}:{fence}")  # STRING: the answer so far, under one fence
inbox = _key("in:{platform}")  # STREAM of raw updates that are not asks yet
seen = _key("seen:{platform}:{update}")  # Tombstone of one platform update
draft = _key("draft:{platform}:{name}")  # What a form that is still to be filled in asks about
passed = _key("passed:{platform}")  # HASH chat -> the message up to which it was read, of platforms that redeliver none
outbox = _key("out:{name}")  # STREAM of finished replies of one platform (or one terminal) that are not delivered yet
events = _key("ev:{outbox_name}")  # Channel on which an outbox's readers hear of starts and deltas
open_asks = _key("open:{outbox_name}")  # SET of asks whose reply is not acknowledged yet
slots = _key("slots:{id}")  # LIST of the messages that hold an answer, in order
# The message that went with an answer (its file, its note), empty while it is being sent: never sent twice
sent = _key("sent:{id}:{fence}:{what}")
# Which ask a message belongs to: replies, buttons and edits find it after a restart
message = _key("msg:{platform}:{chat}:{message_id}")
history = _key("h:{conversation}")  # LIST of turns, oldest first
view = _key("view:{conversation}")  # HASH: what the engine was given of it last, and when it last dropped turns
epoch = _key("e:{conversation}")  # Counts the fresh starts of a conversation; an ask of an earlier epoch leaves no turn
# SET of asks whose question is kept though it has no turn: they failed, and may be tried again
kept = _key("kept:{conversation}")
conversations = _key("convs:{person}")  # SET of a person's conversations, for /forget
latest = _key("latest:{person}")  # The conversation a person asked in last, for `askpix ask --continue`
photo = _key("img:{person}|{sha256}")  # STRING: one photo's bytes
admin_code = _key("admincode:{digest}")  # The one-time code (its sha256) whose sender becomes admin
link_code = _key("linkcode:{digest}")  # The one-time code (its sha256) of a person who wants to be joined: who that is
link_open = _key("linkopen:{person}")  # Their newest code's sha256, until it is used: an older one is void
rate = _key("rate:{person}")  # Asks of one person, on all that they joined, in the present window
told = _key("told:{person}")  # A stranger was told today that this bot is closed
role = _key("role:{instance}")  # HASH: one role instance's heartbeat
