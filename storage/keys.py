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
MINUTE_TTL = 3 * 3_600  # of measurements; hours are made of them
HOUR_TTL = 8 * DAY  # of measurements by the hour and by the day
USE_TTL = 62 * DAY  # what one person used on a day and in a month
FAULT_TTL = 7 * DAY  # the engine's last error
LEADER_TTL = 10  # who keeps house says each two seconds that it still does
NOTICE_TTL = DAY  # what admins are to be told; older news is none
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
LANGUAGES = PREFIX + "languages"  # HASH admin -> the language of their last command: news come in it
MOVED = PREFIX + "moved"  # HASH chat -> the id it had before its platform gave it another
SECRET = PREFIX + "secret"  # random, made once: names persons to the engine without naming them
MODEL = PREFIX + "model"  # the running engine's `Model` record
MODE = PREFIX + "mode"  # "paused" or "draining", while it is that
RULES = PREFIX + "rules"  # HASH person or chat -> "allow" or "deny", beside the environment's
QUOTAS = PREFIX + "quotas"  # HASH person -> asks a day, 0: without limit
CHANGES = PREFIX + "changes"  # STREAM of what admins changed: who, what, when; the newest thousand
FAULT = PREFIX + "fault"  # HASH: the engine's last error, and when
LEADER = PREFIX + "leader"  # which process keeps house
CHORES = PREFIX + "chores"  # HASH name -> `Chore`: what is done, and when
DONE = PREFIX + "done"  # HASH name -> `Run`: how that went last
INCIDENTS = PREFIX + "incidents"  # HASH name -> since when; "told:" name -> since when admins know
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
rate = _key("lately:{person}")  # ZSET of one person's asks, on all that they joined, by when each was sent
told = _key("told:{person}")  # A stranger was told today that this bot is closed
role = _key("role:{instance}")  # HASH: one role instance's heartbeat
minute = _key("m:{minute}")  # HASH: what was counted and measured in one minute since 1970
hour = _key("mh:{hour}")  # HASH: the same of one hour
day = _key("md:{date}")  # HASH: the same of one day of ASKPIX_TIMEZONE
used = _key("use:{person}:{period}")  # HASH: asks, photos, cost and tokens of a day (2026-05-01) or a month (2026-05)
top = _key("top:{date}")  # ZSET person -> asks of that day
taken = _key("taken:{id}")  # This ask was counted: read again after a crash, it is not counted again
